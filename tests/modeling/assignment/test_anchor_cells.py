from __future__ import annotations

import pytest
import torch

from yolov7.config import get_config
from yolov7.modeling import build_assigner
from yolov7.modeling.assignment import AnchorRatio
from yolov7.modeling.assignment.anchor_cells import anchor_cells
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError


def head(
    rows: int = 4, columns: int = 6, anchors: tuple = ((8, 8),), strides: tuple = (8,)
) -> DensePredictions:
    """Grids of which each is half as large as the one before, with the same anchors."""
    sizes = tuple((rows * strides[0] // s, columns * strides[0] // s) for s in strides)
    centers, per_cell = cell_centers(sizes, strides, num_anchors=len(anchors))
    count = len(per_cell)
    return DensePredictions(
        class_logits=torch.zeros(2, count, 3),
        objectness_logits=torch.zeros(2, count),
        box_deltas=torch.zeros(2, count, 4),
        centers=centers,
        strides=per_cell,
        level_sizes=sizes,
        anchors=torch.cat(
            [
                torch.tensor(anchors).float().repeat_interleave(height * width, dim=0)
                for height, width in sizes
            ]
        ),
    )


def around(x: float, y: float, width: float = 8, height: float = 8) -> list[float]:
    """A box by its centre."""
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def found(box: list[float], predictions: DensePredictions, num_cells: int = 3) -> list[int]:
    index, valid = anchor_cells(
        torch.tensor([box]), predictions, max_ratio=4.0, num_cells=num_cells
    )
    return sorted(index[valid].tolist())


@pytest.mark.parametrize(
    ("x", "y", "three", "five"),
    [
        # Cells are column + 6 · row. Near the left and upper border of cell (2, 1).
        (18, 10, [2, 7, 8], [2, 7, 8, 9, 14]),
        # Near its right and lower border.
        (22, 14, [8, 9, 14], [2, 7, 8, 9, 14]),
        # In the corner cell a neighbour needs the centre to be more than a cell from the border.
        (3, 3, [0], [0, 1, 6]),
        (5, 5, [0, 1, 6], [0, 1, 6]),
        # In the opposite corner cell (5, 3).
        (46, 30, [23], [17, 22, 23]),
        # Outside the map.
        (-1, 10, [], []),
        (18, 33, [], []),
    ],
)
def test_cells_around_a_centre(x: float, y: float, three: list[int], five: list[int]) -> None:
    predictions = head()
    assert found(around(x, y), predictions) == three
    assert found(around(x, y), predictions, num_cells=5) == five


def test_a_centre_on_a_border_between_cells_finds_its_cell_twice() -> None:
    """As in the authors' code, without which the recorded losses could not be met."""
    # x = 16 is the border of columns 1 and 2, y = 12 the middle of row 1: no row is near.
    assert found(around(16, 12), head()) == [7, 8, 8]
    assert found(around(16, 12), head(), num_cells=5) == [2, 7, 8, 9, 14]


def test_sides_decide_which_anchors_fit() -> None:
    predictions = head(anchors=((8, 8), (16, 64)))
    cells = 24
    # Ratio 4 itself is too much, on either side.
    assert found(around(3, 3, 31.9, 8), predictions) == [0]
    assert found(around(3, 3, 32, 8), predictions) == []
    assert found(around(3, 3, 2.1, 2.1), predictions) == [0]
    assert found(around(3, 3, 2, 8), predictions) == []
    assert found(around(3, 3, 16, 20), predictions) == [0, cells]
    assert found(around(3, 3, 16, 64), predictions) == [cells]
    assert found(around(3, 3, 0, 0), predictions) == []


def test_levels_follow_each_other() -> None:
    predictions = head(rows=4, columns=6, strides=(8, 16), anchors=((8, 8), (16, 16)))
    # The centre (21, 13) is in cell (2, 1) of the first map and (1, 0) of the second; there it
    # reaches left (x = 1.31) and, in the last but one row, down.
    own = [8, 24 + 8, 48 + 1, 48 + 6 + 1]
    right_and_below = [9, 14, 24 + 9, 24 + 14]
    left_and_below = [48, 48 + 4, 48 + 6, 48 + 6 + 4]
    assert found(around(21, 13), predictions) == sorted(own + right_and_below + left_and_below)


def test_the_assigner_gives_every_pair_that_was_found() -> None:
    predictions = head()
    targets = Targets(
        boxes=torch.tensor([around(3, 3), around(2, 2), around(18, 10)]),
        labels=torch.tensor([0, 1, 2]),
        image_index=torch.tensor([0, 0, 1]),
        image_sizes=torch.tensor([[32, 48]] * 2),
    )
    boxes = torch.zeros(2, 24, 4)
    boxes[0, 0] = targets.boxes[0]
    assignment = AnchorRatio()(predictions, boxes, targets)
    assert assignment.target_index.tolist() == [0, 1, 2, 2, 2]
    assert assignment.image_index.tolist() == [0, 0, 1, 1, 1]
    assert assignment.prediction_index[:2].tolist() == [0, 0], "two objects, one prediction"
    assert sorted(assignment.prediction_index[2:].tolist()) == [2, 7, 8]
    # Boxes of 8x8 that are shifted by 1: 49 / 79.
    expected = torch.tensor([1.0, 49 / 79, 0.0, 0.0, 0.0])
    torch.testing.assert_close(assignment.matched_iou, expected)
    wider = AnchorRatio().with_num_cells(5)(predictions, boxes, targets)
    assert len(wider) == 3 + 3 + 5


def test_no_objects_and_none_that_fit() -> None:
    predictions = head()
    targets = Targets(
        boxes=torch.tensor([around(3, 3, 400, 1)]),
        labels=torch.tensor([0]),
        image_index=torch.tensor([1]),
        image_sizes=torch.tensor([[32, 48]] * 2),
    )
    assert len(AnchorRatio()(predictions, torch.zeros(2, 24, 4), targets)) == 0
    nothing = Targets(
        targets.boxes[:0], targets.labels[:0], targets.image_index[:0], targets.image_sizes
    )
    assert len(AnchorRatio()(predictions, torch.zeros(2, 24, 4), nothing)) == 0


def test_wrong_use_is_named() -> None:
    with pytest.raises(ConfigError, match=r"3 or 5 cells.*4"):
        AnchorRatio(num_cells=4)
    predictions = head()
    targets = Targets(
        boxes=torch.tensor([around(3, 3)]),
        labels=torch.tensor([3]),
        image_index=torch.tensor([0]),
        image_sizes=torch.tensor([[32, 48]] * 2),
    )
    with pytest.raises(DatasetError, match=r"3 classes.*MODEL\.YOLO\.CLASSES"):
        AnchorRatio()(predictions, torch.zeros(2, 24, 4), targets)


def test_the_config_reaches_every_number() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "AnchorRatio"
    cfg.MODEL.ASSIGNER.MAX_ANCHOR_RATIO = 2.5
    cfg.MODEL.ASSIGNER.CELLS = 5
    assigner = build_assigner(cfg)
    assert isinstance(assigner, AnchorRatio)
    assert (assigner.max_anchor_ratio, assigner.num_cells) == (2.5, 5)
