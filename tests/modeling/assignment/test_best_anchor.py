from __future__ import annotations

import math

import pytest
import torch

from yolov7.config import get_config
from yolov7.modeling import build_assigner
from yolov7.modeling.assignment import BestAnchor
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError

ANCHORS = [[[10.0, 10.0], [10.0, 30.0]], [[40.0, 40.0], [60.0, 20.0]]]


def make_predictions(
    images: int = 1, classes: int = 3, anchors: list | None = ANCHORS, seed: int | None = None
) -> DensePredictions:
    """Frames of 64x96 with cells of 8 and 16 and two anchors each: 192 + 48 predictions."""
    sizes = ((8, 12), (4, 6))
    centers, strides = cell_centers(sizes, (8, 16), num_anchors=2, dtype=torch.float64)
    pairs = None
    if anchors is not None:
        pairs = torch.cat(
            [
                torch.tensor(level).double().repeat_interleave(rows * columns, dim=0)
                for level, (rows, columns) in zip(anchors, sizes, strict=True)
            ]
        )
    logits = torch.zeros(images, 240, classes, dtype=torch.float64)
    if seed is not None:
        logits.normal_(mean=-1, generator=torch.Generator().manual_seed(seed))
    return DensePredictions(
        class_logits=logits,
        objectness_logits=logits[..., 0],
        box_deltas=torch.zeros(images, 240, 4, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=sizes,
        anchors=pairs,
    )


def objects(boxes: list, labels: list[int] | None = None, images: list[int] | None = None):
    count = len(boxes)
    return Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        image_index=torch.tensor(images or [0] * count, dtype=torch.int64),
        image_sizes=torch.tensor([[64, 96]] * (1 + max(images or [0]))),
    )


NOWHERE = torch.zeros(1, 240, 4, dtype=torch.float64)


def test_the_best_and_what_is_alike_by_hand() -> None:
    # 12 by 20 at (30, 20): likeness 100/240 = .417, 200/(240 + 300 - 200) = .588,
    # 240/1600 = .15 and 240/1200 = .2. On the fine level column 3, row 2: cell 2·12 + 3 = 27.
    targets = objects([[24.0, 10.0, 36.0, 30.0]])
    predictions = make_predictions()
    for threshold, expected in {
        1.0: [96 + 27],
        0.4: [27, 96 + 27],
        # On the coarse level column 1, row 1: cell 7.
        0.19: [27, 96 + 27, 192 + 24 + 7],
        0.1: [27, 96 + 27, 192 + 7, 192 + 24 + 7],
    }.items():
        assignment = BestAnchor(iou_threshold=threshold)(predictions, NOWHERE, targets)
        assert assignment.prediction_index.tolist() == expected
        assert assignment.target_index.tolist() == [0] * len(expected)
        assert assignment.matched_iou.tolist() == [0.0] * len(expected)
        assert not assignment.ignored.any()


def test_a_shape_of_two_levels_is_best_on_both_and_the_first_of_equals_alone() -> None:
    shared = make_predictions(anchors=[[[10.0, 10.0], [20.0, 20.0]], [[20.0, 20.0], [60.0, 60.0]]])
    targets = objects([[20.0, 10.0, 40.0, 30.0]])
    only_best = BestAnchor(iou_threshold=1.0)
    # At (30, 20): fine cell 27, coarse cell 7.
    assert only_best(shared, NOWHERE, targets).prediction_index.tolist() == [96 + 27, 192 + 7]
    # 10 by 20 and 20 by 10 are equally like 10 by 10.
    equal = make_predictions(anchors=[[[40.0, 40.0], [10.0, 20.0]], [[20.0, 10.0], [60.0, 60.0]]])
    targets = objects([[25.0, 15.0, 35.0, 25.0]])
    assert only_best(equal, NOWHERE, targets).prediction_index.tolist() == [96 + 27]


def test_an_object_most_like_an_unused_anchor_has_no_best() -> None:
    targets = objects([[24.0, 10.0, 36.0, 30.0]])
    predictions = make_predictions()
    assigner = BestAnchor(iou_threshold=1.0, unused_anchors=[[12, 19]])
    assert len(assigner(predictions, NOWHERE, targets)) == 0
    assigner = BestAnchor(iou_threshold=0.4, unused_anchors=[[12, 19]])
    assert assigner(predictions, NOWHERE, targets).prediction_index.tolist() == [27, 96 + 27]
    assigner = BestAnchor(iou_threshold=1.0, unused_anchors=[[50, 50]])
    assert assigner(predictions, NOWHERE, targets).prediction_index.tolist() == [96 + 27]


def test_what_is_ignored_by_hand() -> None:
    targets = objects([[0.0, 0.0, 10.0, 10.0], [32.0, 0.0, 42.0, 10.0]], images=[0, 0])
    predictions = make_predictions()
    predictions.class_logits[:] = -5
    # The object's overlap with these: 0.8, 0.7 (not more than the threshold) and 0.9.
    boxes = NOWHERE.clone()
    boxes[0, 50] = torch.tensor([0.0, 0.0, 8.0, 10.0])
    boxes[0, 51] = torch.tensor([0.0, 0.0, 7.0, 10.0])
    boxes[0, 52] = torch.tensor([32.0, 0.0, 42.0, 9.0])
    # Its own prediction (best anchor 0, cell 0) has a pair, however well it overlaps.
    boxes[0, 0] = torch.tensor([0.0, 0.0, 10.0, 10.0])
    predictions.class_logits[0, [0, 50, 51, 52], 2] = -1.0
    assigner = BestAnchor(iou_threshold=1.0)
    assignment = assigner(predictions, boxes, targets)
    assert assignment.ignored.nonzero().tolist() == [[0, 50], [0, 52]]
    assert assignment.matched_iou.tolist() == [1.0, 0.0]
    # σ(-1.2) = 0.23: no class is named any more.
    predictions.class_logits[0, 50, 2] = -1.2
    assert assigner(predictions, boxes, targets).ignored.nonzero().tolist() == [[0, 52]]
    lower = BestAnchor(iou_threshold=1.0, ignore_threshold=0.69)
    assert lower(predictions, boxes, targets).ignored.nonzero().tolist() == [[0, 51], [0, 52]]


def brute_force(predictions, boxes, targets, iou_threshold, ignore_threshold):
    """The rules in plain Python, one object and one prediction after another."""

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        common = max(width, 0) * max(height, 0)
        area = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
        return common / (area - common)

    shapes = [tuple(pair) for level in ANCHORS for pair in level]
    pairs = set()
    ignored = set()
    for number, (box, image) in enumerate(
        zip(targets.boxes.tolist(), targets.image_index.tolist(), strict=True)
    ):
        width, height = box[2] - box[0], box[3] - box[1]
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        like = [iou((0, 0, width, height), (0, 0, *shape)) for shape in shapes]
        best = max(range(4), key=lambda shape: like[shape])
        for shape in range(4):
            if shape != best and like[shape] <= iou_threshold:
                continue
            stride, columns, cells, first = (8, 12, 96, 0) if shape < 2 else (16, 6, 24, 192)
            cell = math.floor(y / stride) * columns + math.floor(x / stride)
            pairs.add((image, first + (shape % 2) * cells + cell, number))
    answering = {(image, prediction) for image, prediction, _ in pairs}
    for image in range(predictions.num_images):
        truths = targets.boxes[targets.image_index == image].tolist()
        for prediction in range(240):
            named = predictions.class_logits[image, prediction].sigmoid().max() > 0.25
            box = boxes[image, prediction].tolist()
            overlaps = any(iou(box, truth) > ignore_threshold for truth in truths)
            if named and overlaps and (image, prediction) not in answering:
                ignored.add((image, prediction))
    return pairs, ignored


@pytest.mark.parametrize("seed", range(3))
def test_random_batches_as_by_brute_force(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    predictions = make_predictions(images=3, seed=seed)
    middle = torch.rand(14, 2, generator=generator).double() * torch.tensor([96.0, 64.0])
    size = torch.rand(14, 2, generator=generator).double() * 50 + 2
    images = sorted(torch.randint(3, (14,), generator=generator).tolist())
    targets = objects(
        torch.cat([middle - size / 2, middle + size / 2], dim=1).tolist(), [1] * 14, images
    )
    # Half of the predictions lie near some object of their image.
    noise = torch.randn(3, 240, 4, generator=generator).double() * 4
    near = torch.stack(
        [
            targets.boxes[targets.image_index == image][
                torch.randint(images.count(image), (240,), generator=generator)
            ]
            for image in range(3)
        ]
    )
    boxes = near + noise
    boxes[..., 2:] = torch.maximum(boxes[..., 2:], boxes[..., :2] + 1)
    pairs, ignored = brute_force(predictions, boxes, targets, 0.213, 0.5)
    assert len(ignored) > 20
    for max_pairs in (None, 500):
        assigner = BestAnchor(ignore_threshold=0.5, max_pairs=max_pairs)
        assignment = assigner(predictions, boxes, targets)
        found = zip(
            assignment.image_index.tolist(),
            assignment.prediction_index.tolist(),
            assignment.target_index.tolist(),
            strict=True,
        )
        assert set(found) == pairs
        assert len(assignment) == len(pairs)
        assert {tuple(place) for place in assignment.ignored.nonzero().tolist()} == ignored


def test_centres_outside_the_frame_have_no_pair() -> None:
    targets = objects([[90.0, 10.0, 102.0, 20.0], [-8.0, 0.0, 7.0, 10.0]])
    assert len(BestAnchor()(make_predictions(), NOWHERE, targets)) == 0


def test_no_objects() -> None:
    assignment = BestAnchor()(make_predictions(), NOWHERE, objects([]))
    assert len(assignment) == 0
    assert assignment.ignored is None


def test_memory_is_bounded_and_the_device_is_waited_for_twice(record) -> None:
    predictions = make_predictions()
    targets = objects([[24.0, 10.0, 36.0, 30.0]] * 50)
    assigner = BestAnchor(max_pairs=1000)
    run = record(lambda: assigner(predictions, NOWHERE, targets))
    # The two numbers of the labels come at once but count twice.
    assert run.data_dependent <= 3
    assert run.largest <= 4 * 1000


def test_mistakes() -> None:
    targets = objects([[24.0, 10.0, 36.0, 30.0]], labels=[3])
    with pytest.raises(DatasetError, match="from 3 to 3, but the model has 3 classes"):
        BestAnchor()(make_predictions(), NOWHERE, targets)
    with pytest.raises(ValueError, match="with anchors"):
        BestAnchor()(make_predictions(anchors=None), NOWHERE, targets)
    with pytest.raises(ConfigError, match=r"IOU_THRESHOLD: expected a number in \(0, 1\], got 0"):
        BestAnchor(iou_threshold=0)
    with pytest.raises(ConfigError, match=r"IGNORE_THRESHOLD: .*got 1.5"):
        BestAnchor(ignore_threshold=1.5)
    with pytest.raises(ConfigError, match=r"UNUSED_ANCHORS: .*got \[\[10, 0\]\]"):
        BestAnchor(unused_anchors=[[10, 0]])
    for malformed in ([10, 14], ["ab"], [["10", 14]]):
        with pytest.raises(ConfigError, match=r"UNUSED_ANCHORS: expected a list of \[width"):
            BestAnchor(unused_anchors=malformed)


def test_built_from_a_config() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "BestAnchor"
    cfg.MODEL.ASSIGNER.IOU_THRESHOLD = 1.0
    cfg.MODEL.ASSIGNER.UNUSED_ANCHORS = [[10, 14]]
    cfg.MODEL.YOLO.IGNORE_THRESHOLD = 0.6
    assigner = build_assigner(cfg)
    assert isinstance(assigner, BestAnchor)
    assert (assigner.iou_threshold, assigner.ignore_threshold) == (1.0, 0.6)
    assert assigner.unused_anchors == [[10, 14]]
