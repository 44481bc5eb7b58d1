from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from yolov7.config import get_config
from yolov7.modeling.assignment import UniformMatcher
from yolov7.modeling.box_coders import YOLOFBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError


def make_predictions(deltas: torch.Tensor, rows: int, columns: int) -> DensePredictions:
    """Anchors of 16x16 and 48x48 on a map of stride 16; 3 classes."""
    centers, strides = cell_centers([(rows, columns)], [16], num_anchors=2, dtype=deltas.dtype)
    sides = torch.tensor([16.0, 48.0], dtype=deltas.dtype).repeat_interleave(rows * columns)
    return DensePredictions(
        class_logits=deltas.new_zeros(len(deltas), 2 * rows * columns, 3),
        objectness_logits=None,
        box_deltas=deltas,
        centers=centers,
        strides=strides,
        level_sizes=((rows, columns),),
        anchors=torch.stack([sides, sides], dim=1),
    )


def make_targets(boxes: list, labels: list[int], image_index: list[int], images: int) -> Targets:
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        image_index=torch.tensor(image_index, dtype=torch.int64),
        image_sizes=torch.full((images, 2), 64),
    )


def decoded(predictions: DensePredictions) -> torch.Tensor:
    return YOLOFBoxCoder().decode(predictions.box_deltas, *predictions.places())


def answers(matcher, predictions, targets):
    """[(image, prediction, object)] in their order and the ignored {(image, prediction)}."""
    found = matcher(predictions, decoded(predictions), targets)
    pairs = list(
        zip(
            found.image_index.tolist(),
            found.prediction_index.tolist(),
            found.target_index.tolist(),
            strict=True,
        )
    )
    ignored = (
        set() if found.ignored is None else {tuple(x) for x in found.ignored.nonzero().tolist()}
    )
    return pairs, ignored


def test_by_hand() -> None:
    """Two cells a row, two rows: corners (0, 0), (16, 0), (0, 16), (16, 16)."""
    deltas = torch.zeros(1, 8, 4, dtype=torch.float64)
    # The small anchor at (0, 0), prediction 0, has moved to (14.4, 14.4).
    deltas[0, 0, :2] = 0.9
    predictions = make_predictions(deltas, 2, 2)
    # 16x16 around (15, 16): 1 from prediction 3, 2.2 from 0; 1 from the anchor of 3, 15 from 2's.
    targets = make_targets([[7, 8, 23, 24]], [2], [0], 1)
    every, _ = answers(UniformMatcher(top_k=2, min_anchor_iou=0.0), predictions, targets)
    assert [prediction for _, prediction, _ in every] == [3, 3, 0, 2]
    # The anchors of 0 and 2 overlap the object by 0 and 1/31, so only 3 answers, twice.
    pairs, ignored = answers(UniformMatcher(top_k=2), predictions, targets)
    assert pairs == [(0, 3, 0), (0, 3, 0)]
    assert ignored == {(0, 0), (0, 2)}


def test_an_overlapping_prediction_is_ignored_unless_a_pair_says_otherwise() -> None:
    deltas = torch.zeros(2, 8, 4, dtype=torch.float64)
    deltas[0, 1, 0] = -0.95  # the small anchor at (16, 0) comes almost to (0, 0)
    predictions = make_predictions(deltas, 2, 2)
    targets = make_targets([[-8, -8, 8, 8]], [0], [0], 2)
    pairs, ignored = answers(UniformMatcher(top_k=1), predictions, targets)
    assert pairs == [(0, 0, 0)] * 2
    assert ignored == {(0, 1)}
    _, ignored = answers(UniformMatcher(top_k=1, ignore_threshold=0.95), predictions, targets)
    assert not ignored


def brute_force(matcher, predictions, boxes, targets):
    """The description word for word, one object after another."""
    anchors = YOLOFBoxCoder().decode(torch.zeros_like(boxes[0]), *predictions.places())

    def numbers(box):
        x0, y0, x1, y1 = box.tolist()
        return ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)

    def distance(one, other):
        return sum(abs(a - b) for a, b in zip(numbers(one), numbers(other), strict=True))

    def iou(one, other):
        ax, ay, aw, ah = numbers(one)
        bx, by, bw, bh = numbers(other)
        width = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
        height = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
        common = max(width, 0) * max(height, 0)
        return common / (aw * ah + bw * bh - common)

    def nearest(distances):
        ranks = sorted(range(len(distances)), key=distances.__getitem__)
        first = [distances[p] for p in ranks[: matcher.top_k + 1]]
        assert min(b - a for a, b in itertools.pairwise(first)) > 1e-6, "which one is arbitrary"
        return ranks

    pairs, ignored = [], set()
    for image in range(len(boxes)):
        objects = [i for i, of in enumerate(targets.image_index.tolist()) if of == image]
        ranked = {
            (kind, i): nearest([distance(box, targets.boxes[i]) for box in source])
            for i in objects
            for kind, source in enumerate((boxes[image], anchors))
        }
        taught = {
            p: True
            for p in range(len(anchors))
            for i in objects
            if iou(boxes[image][p], targets.boxes[i]) > matcher.ignore_threshold
        }
        for rank in range(matcher.top_k):
            for kind in (0, 1):
                for i in objects:
                    p = ranked[kind, i][rank]
                    counts = iou(anchors[p], targets.boxes[i]) >= matcher.min_anchor_iou
                    taught[p] = not counts
                    if counts:
                        pairs.append((image, p, i))
        ignored |= {(image, p) for p, is_ignored in taught.items() if is_ignored}
    return pairs, ignored


@pytest.mark.parametrize("seed", range(4))
def test_random_cases_by_brute_force(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    deltas = torch.randn(3, 40, 4, generator=generator, dtype=torch.float64) * 0.3
    predictions = make_predictions(deltas, 4, 5)
    # Off the grid, where many anchors would be equally far.
    moved = torch.rand(40, 2, generator=generator, dtype=torch.float64) * 3
    predictions = replace(predictions, centers=predictions.centers + moved)
    corners = torch.rand(7, 2, generator=generator, dtype=torch.float64) * 50
    sizes = torch.rand(7, 2, generator=generator, dtype=torch.float64) * 40 + 8
    targets = replace(
        make_targets([[0, 0, 1, 1]] * 7, [0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 0, 2, 2, 2], 3),
        boxes=torch.cat([corners, corners + sizes], dim=1),
    )
    matcher = UniformMatcher(top_k=2, min_anchor_iou=0.2, ignore_threshold=0.4)
    expected = brute_force(matcher, predictions, decoded(predictions), targets)
    assert answers(matcher, predictions, targets) == expected
    bounded = UniformMatcher(top_k=2, min_anchor_iou=0.2, ignore_threshold=0.4, max_pairs=50)
    assert answers(bounded, predictions, targets) == expected


def test_without_objects_and_with_fewer_predictions_than_asked() -> None:
    predictions = make_predictions(torch.zeros(1, 2, 4, dtype=torch.float64), 1, 1)
    assert answers(UniformMatcher(), predictions, make_targets([], [], [], 1)) == ([], set())
    pairs, _ = answers(
        UniformMatcher(min_anchor_iou=0.0), predictions, make_targets([[0, 0, 9, 9]], [0], [0], 1)
    )
    assert len(pairs) == 4


def test_predictions_that_are_not_numbers_are_the_farthest() -> None:
    deltas = torch.zeros(1, 8, 4, dtype=torch.float64)
    deltas[0, 3] = torch.nan
    targets = make_targets([[8, 8, 24, 24]], [0], [0], 1)
    predictions = make_predictions(deltas, 2, 2)
    pairs, _ = answers(UniformMatcher(top_k=1, min_anchor_iou=0.0), predictions, targets)
    assert pairs[0][1] != 3
    assert pairs[1][1] == 3, "the anchor is one"


def test_mistakes_are_named() -> None:
    predictions = make_predictions(torch.zeros(1, 8, 4, dtype=torch.float64), 2, 2)
    with pytest.raises(DatasetError, match="the model has 3 classes"):
        answers(UniformMatcher(), predictions, make_targets([[0, 0, 9, 9]], [3], [0], 1))
    without = replace(predictions, anchors=None)
    with pytest.raises(ValueError, match="with anchors"):
        UniformMatcher()(without, torch.zeros(1, 8, 4), make_targets([], [], [], 1))
    cfg = get_config()
    cfg.MODEL.ASSIGNER.MIN_ANCHOR_IOU = 1.5
    with pytest.raises(ConfigError, match=r"MODEL\.ASSIGNER\.MIN_ANCHOR_IOU: expected a number in"):
        UniformMatcher(cfg)
