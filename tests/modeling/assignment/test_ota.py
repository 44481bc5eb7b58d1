from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.modeling import build_assigner
from yolov7.modeling.assignment import OTA
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError

CODER = YOLOv7BoxCoder()


def decoded(predictions: DensePredictions) -> Tensor:
    return CODER.decode(predictions.box_deltas, *predictions.places())


def random_case(module, seed: int, **case) -> tuple[DensePredictions, Targets]:
    case = {"anchors": module.ANCHORS, "box_coder": CODER, "dtype": torch.float64} | case
    return module.random_case(seed, **case)


def small_case(
    boxes: list[list[float]], labels: list[int], *, columns: int = 4
) -> tuple[DensePredictions, Targets]:
    """One image with a grid of 4 rows of cells of stride 8, one anchor 8x8, equal scores."""
    centers, strides = cell_centers([(4, columns)], [8], dtype=torch.float64)
    count = len(strides)
    predictions = DensePredictions(
        class_logits=torch.zeros(1, count, 2, dtype=torch.float64),
        objectness_logits=torch.zeros(1, count, dtype=torch.float64),
        box_deltas=torch.zeros(1, count, 4, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=((4, columns),),
        anchors=torch.full((count, 2), 8.0, dtype=torch.float64),
    )
    targets = Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        image_index=torch.zeros(len(labels), dtype=torch.int64),
        image_sizes=torch.tensor([[32, 8 * columns]]),
    )
    return predictions, targets


def nowhere(predictions: DensePredictions) -> Tensor:
    """Predicted boxes that overlap nothing."""
    return torch.full((1, predictions.num_predictions, 4), -99.0, dtype=torch.float64)


def pairs_of(assignment) -> list[tuple[int, int]]:
    """(prediction, object) of all pairs of one image."""
    return list(
        zip(assignment.prediction_index.tolist(), assignment.target_index.tolist(), strict=True)
    )


def test_the_overlaps_decide_how_many_candidates_an_object_takes() -> None:
    # The centre (11, 12) is in cell (1, 1) = 5 and reaches left to cell 4.
    predictions, targets = small_case([[7, 8, 15, 16]], [0])
    boxes = nowhere(predictions)
    boxes[0, [4, 5, 6]] = targets.boxes[0]
    # Cell 6 is no candidate: k = 2.
    assignment = OTA()(predictions, boxes, targets)
    assert pairs_of(assignment) == [(4, 0), (5, 0)]
    assert assignment.matched_iou.tolist() == [1.0, 1.0]
    boxes[0, 4] = -99
    assert pairs_of(OTA()(predictions, boxes, targets)) == [(5, 0)]
    boxes[0, 5] = -99
    # Nothing overlaps: the first candidate, as all cost the same.
    assert pairs_of(OTA()(predictions, boxes, targets)) == [(4, 0)]


def test_a_candidate_of_another_object_may_be_taken() -> None:
    # Candidates 4 and 5 of object 0; object 1 is too large for the anchor and has none.
    predictions, targets = small_case([[7, 8, 15, 16], [0, 0, 32, 32]], [0, 1])
    boxes = nowhere(predictions)
    boxes[0, 4], boxes[0, 5] = targets.boxes[1], targets.boxes[0]
    assert pairs_of(OTA()(predictions, boxes, targets)) == [(4, 1), (5, 0)]


def test_a_candidate_that_several_take_goes_to_the_cheapest() -> None:
    # Object 0 finds cells 4 and 5, object 1 (of another class) the cells 5 and 6.
    predictions, targets = small_case([[7, 8, 15, 16], [9, 8, 17, 16]], [0, 1])
    boxes = nowhere(predictions)
    boxes[0, 5] = torch.tensor([8.0, 8.0, 16.0, 16.0])
    # Both take one, the one that overlaps both equally; it is there twice, and the first copy
    # goes to the earlier object.
    assert pairs_of(OTA()(predictions, boxes, targets)) == [(5, 0)]
    predictions.class_logits[0, 5, 1] = 0.5
    assert pairs_of(OTA()(predictions, boxes, targets)) == [(5, 1)]


def test_a_prediction_found_by_two_objects_may_answer_for_both() -> None:
    """Two candidates in one place: each object takes the first, then a second is left over."""
    predictions, targets = small_case([[9, 9, 15.5, 16], [8, 8, 16, 16]], [0, 1])
    boxes = nowhere(predictions)
    found = OTA()(predictions, boxes, targets)
    # Nothing overlaps, k = 1, and the first candidate is the same for both: the earlier object.
    assert len(set(found.prediction_index.tolist())) == len(found) == 1
    assert found.target_index.tolist() == [0]
    # Two full overlaps make object 0 take both copies of a place; the first goes to the cheaper.
    boxes[0, found.prediction_index[0]] = targets.boxes[0]
    assignment = OTA()(predictions, boxes, targets)
    assert assignment.prediction_index.unique().tolist() == found.prediction_index.tolist()
    assert assignment.target_index.tolist() == [0, 0]


def test_a_wide_image_is_as_a_square_one() -> None:
    """What lies right of a square must not matter: both axes are in pixels."""
    square, targets = small_case([[7, 8, 15, 16], [20, 17, 29, 27]], [0, 1])
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 16, 2, generator=generator, dtype=torch.float64)
    square = replace(square, class_logits=logits)
    boxes = decoded(square)
    expected = OTA()(square, boxes, targets)

    wide, _ = small_case([], [], columns=12)
    column, row = torch.arange(16) % 4, torch.arange(16) // 4
    wide.class_logits[0, row * 12 + column] = logits[0]
    wide_targets = replace(targets, image_sizes=torch.tensor([[32, 96]]))
    found = OTA()(wide, decoded(wide), wide_targets)
    place = found.prediction_index
    in_square = place // 12 * 4 + place % 12
    assert bool((place % 12 < 4).all())
    assert in_square.tolist() == expected.prediction_index.tolist()
    assert found.target_index.tolist() == expected.target_index.tolist()
    torch.testing.assert_close(found.matched_iou, expected.matched_iou)


def test_no_candidates_and_no_objects() -> None:
    predictions, targets = small_case([[-400, 0, -380, 16]], [0])
    assert len(OTA()(predictions, nowhere(predictions), targets)) == 0
    predictions, targets = small_case([], [])
    assignment = OTA()(predictions, nowhere(predictions), targets)
    assert len(assignment) == 0
    assert assignment.image_index.dtype == torch.int64
    assert assignment.matched_iou.dtype == torch.float64


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["class_logits", "objectness_logits", "boxes"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_predictions_that_are_not_finite_do_not_raise(
    value: float, part: str, everywhere: bool
) -> None:
    predictions, targets = small_case([[7, 8, 15, 16], [7, 8, 16, 16]], [0, 1])
    boxes = decoded(predictions)
    bad = boxes if part == "boxes" else getattr(predictions, part)
    bad[0, slice(None) if everywhere else 5] = value
    for max_pairs in (None, 1):
        assignment = OTA(max_pairs=max_pairs)(predictions, boxes, targets)
        assert 1 <= len(assignment) <= 20
        assert bool(assignment.matched_iou.isfinite().all())


def test_wrong_use_is_named() -> None:
    predictions, targets = small_case([[7, 8, 15, 16]], [2])
    with pytest.raises(DatasetError, match=r"2 classes.*MODEL\.YOLO\.CLASSES"):
        OTA()(predictions, nowhere(predictions), targets)
    with pytest.raises(ValueError, match="objectness"):
        OTA()(replace(predictions, objectness_logits=None), nowhere(predictions), targets)
    with pytest.raises(ValueError, match="anchors"):
        OTA()(replace(predictions, anchors=None), nowhere(predictions), targets)
    with pytest.raises(ConfigError, match="3 or 5"):
        OTA(num_cells=1)


SHAPES = [
    {"objects": [5, 0, 12], "size": (96, 160), "num_classes": 4},
    {"objects": [40], "size": (64, 64), "num_classes": 3},
    {"objects": [0, 0, 3], "size": (160, 64), "num_classes": 1},
]


def alter(targets: Targets, seed: int) -> Targets:
    """Make objects awkward: outside, repeated, centred on borders of cells, of any shape."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(len(targets), generator=generator)
    boxes, labels = targets.boxes.clone(), targets.labels.clone()
    boxes[draw < 0.1] += 400
    round_off = (draw >= 0.1) & (draw < 0.5)
    boxes[round_off] = (boxes[round_off] / 16).round() * 16
    same = targets.image_index[1:] == targets.image_index[:-1]
    copied = torch.nonzero(same & (draw[1:] > 0.8)).squeeze(1)
    boxes[copied + 1], labels[copied + 1] = boxes[copied], labels[copied]
    return replace(targets, boxes=boxes, labels=labels)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("settings", [{}, {"num_cells": 5, "top_k": 20, "iou_cost": 4.0}])
def test_equals_the_formula_written_literally(bm_ota, assignment_cases, case, settings) -> None:
    for seed in range(4):
        predictions, targets = random_case(assignment_cases, seed, **case)
        targets = alter(targets, seed)
        boxes = decoded(predictions)
        expected = bm_ota.literal_ota(predictions, boxes, targets, **settings)
        for max_pairs in (None, 500):
            assignment = OTA(max_pairs=max_pairs, **settings)(predictions, boxes, targets)
            assert assignment_cases.pairs(assignment) == assignment_cases.pairs(expected)
            torch.testing.assert_close(
                assignment.matched_iou, expected.matched_iou, atol=1e-12, rtol=0
            )


@pytest.mark.slow
@pytest.mark.peer
def test_equals_the_formula_written_literally_with_a_thousand_objects(
    bm_ota, assignment_cases
) -> None:
    case = {"objects": [1000, 3], "size": (320, 320), "num_classes": 5}
    predictions, targets = random_case(assignment_cases, 0, **case)
    boxes = decoded(predictions)
    expected = bm_ota.literal_ota(predictions, boxes, targets)
    assert assignment_cases.pairs(OTA()(predictions, boxes, targets)) == assignment_cases.pairs(
        expected
    )


def test_a_batch_is_its_images(assignment_cases) -> None:
    case = random_case(assignment_cases, 3, objects=[7, 0, 20, 1], size=(96, 128), num_classes=5)
    predictions, targets = case
    together = assignment_cases.pairs(OTA()(predictions, decoded(predictions), targets))
    apart = []
    for image in range(4):
        single, single_targets, own = assignment_cases.image_of(case, image)
        found = assignment_cases.pairs(OTA()(single, decoded(single), single_targets))
        apart += [(image, place, int(own[target])) for _, place, target in found]
    assert together == apart
    assert len(together) > 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_under_autocast_is_computed_in_float32(assignment_cases, dtype) -> None:
    predictions, targets = random_case(
        assignment_cases, 0, objects=[8], size=(96, 96), num_classes=5, dtype=torch.float32
    )
    lowered = replace(
        predictions,
        class_logits=predictions.class_logits.to(dtype),
        objectness_logits=predictions.objectness_logits.to(dtype),
        box_deltas=predictions.box_deltas.to(dtype),
    )
    expected = OTA()(lowered.at_least_float32(), decoded(lowered), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = OTA()(lowered, decoded(lowered), targets)
    assert assignment_cases.pairs(found) == assignment_cases.pairs(expected)
    assert found.matched_iou.dtype == torch.float32


def test_the_work_is_not_a_loop_over_images_or_objects(record, assignment_cases) -> None:
    recorders = []
    for objects in ([2], [30, 0, 40, 9, 25]):
        predictions, targets = random_case(
            assignment_cases, 0, objects=objects, size=(128, 128), num_classes=3
        )
        boxes, assigner = decoded(predictions), OTA(max_pairs=2**30)
        recorders.append(record(lambda p=predictions, b=boxes, t=targets, a=assigner: a(p, b, t)))
    few, many = recorders
    assert few.operations == many.operations
    # Together with the one list of sizes: two waits for the device.
    assert many.data_dependent == 1


def test_a_thousand_objects_fit_in_bounded_memory(record, assignment_cases) -> None:
    predictions, targets = random_case(
        assignment_cases, 0, objects=[1000], size=(320, 320), num_classes=2, dtype=torch.float32
    )
    boxes, max_pairs = decoded(predictions), 2**16
    recorder = record(lambda: OTA(max_pairs=max_pairs)(predictions, boxes, targets))
    # All (object, candidate) pairs are about 10 million.
    assert recorder.largest <= max(5 * max_pairs, 1000 * 45)


@pytest.mark.gpu
def test_the_device_is_waited_for_twice_and_gives_the_same(assignment_cases) -> None:
    case = {"objects": [30, 0, 9]}
    predictions, targets = random_case(assignment_cases, 0, **case)
    expected = assignment_cases.pairs(OTA()(predictions, decoded(predictions), targets))
    predictions, targets = random_case(assignment_cases, 0, device="cuda", **case)
    boxes, assigner = decoded(predictions), OTA()
    assert assignment_cases.pairs(assigner(predictions, boxes, targets)) == expected
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing CUDA operation") as waits:
            assigner(predictions, boxes, targets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) <= 2


def test_the_config_reaches_every_number() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "OTA"
    cfg.MODEL.ASSIGNER.MAX_ANCHOR_RATIO = 2.5
    cfg.MODEL.ASSIGNER.CELLS = 5
    cfg.MODEL.ASSIGNER.TOP_K = 7
    cfg.MODEL.ASSIGNER.CLASS_COST = 0.5
    cfg.MODEL.ASSIGNER.IOU_COST = 4.0
    assigner = build_assigner(cfg)
    assert isinstance(assigner, OTA)
    assert (assigner.max_anchor_ratio, assigner.num_cells, assigner.top_k) == (2.5, 5, 7)
    assert (assigner.class_cost, assigner.iou_cost) == (0.5, 4.0)
    other = assigner.with_num_cells(3)
    assert other.num_cells == 3
    assert (other.max_anchor_ratio, other.top_k, other.iou_cost) == (2.5, 7, 4.0)
