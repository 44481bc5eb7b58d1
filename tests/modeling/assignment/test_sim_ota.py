from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.modeling import build_assigner
from yolov7.modeling.assignment import Assignment, SimOTA
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import DatasetError


def decoded(predictions: DensePredictions) -> Tensor:
    return YOLOXBoxCoder().decode(predictions.box_deltas, predictions.centers, predictions.strides)


def pairs(assignment: Assignment) -> list[tuple[int, int, int]]:
    """(image, prediction, object) of all pairs."""
    return list(
        zip(
            assignment.image_index.tolist(),
            assignment.prediction_index.tolist(),
            assignment.target_index.tolist(),
            strict=True,
        )
    )


def small_case(boxes: list[list[float]], labels: list[int]) -> tuple[DensePredictions, Targets]:
    """One image of 32x32 with a grid of 4x4 cells of stride 8, two classes, equal scores."""
    centers, strides = cell_centers([(4, 4)], [8], dtype=torch.float64)
    predictions = DensePredictions(
        class_logits=torch.zeros(1, 16, 2, dtype=torch.float64),
        objectness_logits=torch.zeros(1, 16, dtype=torch.float64),
        box_deltas=torch.zeros(1, 16, 4, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=((4, 4),),
    )
    targets = Targets(
        boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        image_index=torch.zeros(len(labels), dtype=torch.int64),
        image_sizes=torch.tensor([[32, 32]]),
    )
    return predictions, targets


def nowhere() -> Tensor:
    """Predicted boxes that overlap nothing."""
    return torch.full((1, 16, 4), -99.0, dtype=torch.float64)


def alter(predictions: DensePredictions, targets: Targets, seed: int) -> tuple:
    """Make a random case awkward: objects outside, duplicates, objects without extent."""
    generator = torch.Generator().manual_seed(seed)
    boxes, labels = targets.boxes.clone(), targets.labels.clone()
    draw = torch.rand(len(boxes), generator=generator)
    boxes[draw < 0.1] += 400
    boxes[(draw >= 0.1) & (draw < 0.15), 2:] = boxes[(draw >= 0.1) & (draw < 0.15), :2]
    same = targets.image_index[1:] == targets.image_index[:-1]
    copied = torch.nonzero(same & (draw[1:] > 0.8)).squeeze(1)
    boxes[copied + 1], labels[copied + 1] = boxes[copied], labels[copied]
    return predictions, replace(targets, boxes=boxes, labels=labels)


def test_the_overlaps_decide_how_many_cells_an_object_takes() -> None:
    predictions, targets = small_case([[0, 0, 16, 16], [16, 0, 32, 16]], [0, 1])
    boxes = nowhere()
    boxes[0, [0, 1, 15]] = targets.boxes[0]
    # Object 0 overlaps three predictions fully, but cell 15 is a candidate of no object: two
    # cells. Object 1 overlaps none: one cell, and as all cost the same, the first of its window.
    assignment = SimOTA()(predictions, boxes, targets)
    assert pairs(assignment) == [(0, 0, 0), (0, 1, 0), (0, 2, 1)]
    assert assignment.matched_iou.tolist() == [1.0, 1.0, 0.0]


def test_overlaps_outside_the_own_window_count_but_cost() -> None:
    predictions, targets = small_case([[0, 0, 16, 16], [16, 16, 32, 32]], [0, 1])
    boxes = nowhere()
    boxes[0, [10, 11]] = targets.boxes[0]
    # Cells 10 and 11 lie in the window of object 1 only. They make object 0 take two cells; those
    # are the first two of its own window, although they overlap nothing.
    assert pairs(SimOTA()(predictions, boxes, targets)) == [(0, 0, 0), (0, 1, 0), (0, 10, 1)]


def test_a_cell_that_several_take_goes_to_the_cheapest() -> None:
    predictions, targets = small_case([[0, 0, 16, 16], [0, 0, 16, 16]], [0, 1])
    boxes = nowhere()
    boxes[0, [0, 1]] = targets.boxes[0]
    # Equal costs: the earlier object.
    assert pairs(SimOTA()(predictions, boxes, targets)) == [(0, 0, 0), (0, 1, 0)]
    predictions.class_logits[0, 1, 1] = 0.5
    assert pairs(SimOTA()(predictions, boxes, targets)) == [(0, 0, 0), (0, 1, 1)]


def test_a_cell_that_several_take_may_go_to_an_object_that_did_not() -> None:
    predictions, targets = small_case([[2, 2, 14, 14], [2, 2, 14, 14], [0, 0, 16, 16]], [0, 0, 0])
    boxes = nowhere()
    boxes[0, 0] = targets.boxes[2]
    boxes[0, 1] = torch.tensor([0.5, 0.5, 15.5, 15.5])
    # IoUs with cells 0 and 1: objects 0 and 1 have .5625 and .64, so each takes cell 1; object 2
    # has 1 and .879, takes cell 0, and is the cheapest for cell 1 as well.
    assert pairs(SimOTA()(predictions, boxes, targets)) == [(0, 0, 2), (0, 1, 2)]


def test_an_object_outside_the_image_takes_a_candidate_of_others() -> None:
    predictions, targets = small_case([[-40, 0, -20, 16], [16, 16, 32, 32]], [0, 1])
    boxes = nowhere()
    boxes[0, 15] = targets.boxes[1]
    predictions.class_logits[0, 11, 0] = 3.0
    assert pairs(SimOTA()(predictions, boxes, targets)) == [(0, 11, 0), (0, 15, 1)]


def test_no_candidates_no_objects_no_images() -> None:
    predictions, targets = small_case([[-400, 0, -380, 16]], [0])
    assert len(SimOTA()(predictions, nowhere(), targets)) == 0
    predictions, targets = small_case([], [])
    assignment = SimOTA()(predictions, nowhere(), targets)
    assert len(assignment) == 0
    assert assignment.image_index.dtype == torch.int64
    assert assignment.matched_iou.dtype == torch.float64


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["class_logits", "objectness_logits", "boxes"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_predictions_that_are_not_finite_do_not_raise(
    value: float, part: str, everywhere: bool
) -> None:
    predictions, targets = small_case([[0, 0, 16, 16], [-90, 0, -70, 9]], [0, 1])
    boxes = decoded(predictions)
    bad = boxes if part == "boxes" else getattr(predictions, part)
    bad[0, slice(None) if everywhere else 5] = value
    for max_pairs in (None, 1):
        assignment = SimOTA(max_pairs=max_pairs)(predictions, boxes, targets)
        assert 1 <= len(assignment) <= 20
        assert bool(assignment.matched_iou.isfinite().all())


def test_labels_outside_the_classes_are_an_error_with_a_remedy() -> None:
    for labels in ([0, 2], [-1, 0]):
        predictions, targets = small_case([[0, 0, 16, 16]] * 2, labels)
        with pytest.raises(DatasetError, match=r"2 classes.*MODEL\.YOLO\.CLASSES"):
            SimOTA()(predictions, nowhere(), targets)
    with pytest.raises(ValueError, match="objectness"):
        SimOTA()(replace(predictions, objectness_logits=None), nowhere(), targets)


def test_the_authors_numbers_of_cells(yolox_recipe) -> None:
    predictions = yolox_recipe.predictions
    assignment = SimOTA()(predictions, decoded(predictions), yolox_recipe.targets)
    level = torch.bucketize(
        assignment.prediction_index, torch.tensor([1024, 1280, 1344]), right=True
    )
    found = Counter(zip(assignment.image_index.tolist(), level.tolist(), strict=True))
    assert found == {(0, 0): 1, (0, 1): 3, (0, 2): 1, (1, 0): 3, (1, 1): 4, (1, 2): 2}
    assert not assignment.matched_iou.requires_grad


SHAPES = [
    {"objects": [5, 0, 12], "size": (96, 160), "num_classes": 4},
    {"objects": [30], "size": (64, 64), "num_classes": 3},
    {"objects": [0, 0, 1], "size": (40, 100), "num_classes": 1, "strides": (12, 20)},
]


def assert_equals_literal_formula(module, seed: int, **case) -> None:
    predictions, targets = module.random_case(seed, dtype=torch.float64, **case)
    predictions, targets = alter(predictions, targets, seed)
    boxes = decoded(predictions)
    expected = module.literal_sim_ota(predictions, boxes, targets)
    for max_pairs in (None, 700):
        assignment = SimOTA(max_pairs=max_pairs)(predictions, boxes, targets)
        assert pairs(assignment) == pairs(expected)
        torch.testing.assert_close(assignment.matched_iou, expected.matched_iou, atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_formula_written_literally(bm_sim_ota, seed: int, case: dict) -> None:
    assert_equals_literal_formula(bm_sim_ota, seed, **case)


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("case", SHAPES)
def test_equals_the_formula_written_literally_on_many_cases(bm_sim_ota, case: dict) -> None:
    for seed in range(2, 42):
        assert_equals_literal_formula(bm_sim_ota, seed, **case)


@pytest.mark.slow
@pytest.mark.peer
def test_equals_the_formula_written_literally_with_a_thousand_objects(bm_sim_ota) -> None:
    assert_equals_literal_formula(bm_sim_ota, 0, objects=[1000, 3], size=(320, 320), num_classes=5)


def test_ties_are_decided_as_in_the_literal_formula(bm_sim_ota) -> None:
    """Few different predictions and objects, so that most costs occur several times."""
    for seed in range(10):
        predictions, targets = bm_sim_ota.random_case(
            seed, objects=[6, 9], size=(96, 96), num_classes=1, dtype=torch.float64
        )
        predictions = replace(
            predictions,
            class_logits=predictions.class_logits.sign(),
            objectness_logits=predictions.objectness_logits.sign(),
            box_deltas=predictions.box_deltas.round(),
        )
        targets = replace(targets, boxes=(targets.boxes / 16).round() * 16)
        boxes = decoded(predictions)
        expected = bm_sim_ota.literal_sim_ota(predictions, boxes, targets)
        assert pairs(SimOTA()(predictions, boxes, targets)) == pairs(expected)


def test_a_batch_is_its_images(bm_sim_ota) -> None:
    predictions, targets = bm_sim_ota.random_case(
        3, objects=[7, 0, 20, 1], size=(96, 128), num_classes=5
    )
    together = pairs(SimOTA()(predictions, decoded(predictions), targets))
    apart = []
    for image in range(4):
        part = slice(image, image + 1)
        single = replace(
            predictions,
            class_logits=predictions.class_logits[part],
            objectness_logits=predictions.objectness_logits[part],
            box_deltas=predictions.box_deltas[part],
        )
        own = torch.nonzero(targets.image_index == image).squeeze(1)
        single_targets = Targets(
            boxes=targets.boxes[own],
            labels=targets.labels[own],
            image_index=torch.zeros_like(own),
            image_sizes=targets.image_sizes[part],
        )
        found = pairs(SimOTA()(single, decoded(single), single_targets))
        apart += [(image, place, int(own[target])) for _, place, target in found]
    assert together == apart


def test_several_anchors_of_a_cell_all_are_candidates(bm_sim_ota) -> None:
    single, targets = bm_sim_ota.random_case(0, objects=[4, 3], size=(64, 96), dtype=torch.float64)
    sizes = single.level_sizes
    centers, strides = cell_centers(sizes, bm_sim_ota.STRIDES, num_anchors=2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    shape = (2, len(strides))
    predictions = DensePredictions(
        class_logits=torch.randn(*shape, 80, generator=generator, dtype=torch.float64),
        objectness_logits=torch.randn(*shape, generator=generator, dtype=torch.float64),
        box_deltas=torch.randn(*shape, 4, generator=generator, dtype=torch.float64),
        centers=centers,
        strides=strides,
        level_sizes=sizes,
    )
    expected = bm_sim_ota.literal_sim_ota(predictions, decoded(predictions), targets)
    assert pairs(SimOTA()(predictions, decoded(predictions), targets)) == pairs(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_under_autocast_is_computed_in_float32(bm_sim_ota, dtype) -> None:
    predictions, targets = bm_sim_ota.random_case(0, objects=[8], size=(96, 96), num_classes=5)
    lowered = replace(
        predictions,
        class_logits=predictions.class_logits.to(dtype),
        objectness_logits=predictions.objectness_logits.to(dtype),
        box_deltas=predictions.box_deltas.to(dtype),
    )
    expected = SimOTA()(lowered.at_least_float32(), decoded(lowered), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = SimOTA()(lowered, decoded(lowered), targets)
    assert pairs(found) == pairs(expected)
    assert found.matched_iou.equal(expected.matched_iou)
    assert found.matched_iou.dtype == torch.float32


def recorded(record, module, objects: list[int], max_pairs: int, **case):
    predictions, targets = module.random_case(0, objects=objects, **case)
    boxes = decoded(predictions)
    return record(lambda: SimOTA(max_pairs=max_pairs)(predictions, boxes, targets))


def test_the_work_is_not_a_loop_over_images_or_objects(record, bm_sim_ota) -> None:
    case = {"size": (128, 128), "num_classes": 3, "max_pairs": 2**30}
    few = recorded(record, bm_sim_ota, [2], **case)
    many = recorded(record, bm_sim_ota, [30, 0, 40, 9, 25], **case)
    assert few.operations == many.operations
    # Together with the one list of sizes: two waits for the device.
    assert many.data_dependent == 1


def test_a_thousand_objects_fit_in_bounded_memory(record, bm_sim_ota) -> None:
    case = {"size": (640, 640), "num_classes": 2}
    recorder = recorded(record, bm_sim_ota, [1000], max_pairs=2**16, **case)
    # All (object, candidate) pairs are about 8 million. The largest table has the coordinates
    # and areas of a piece, or what is proportional to the objects.
    assert recorder.largest <= max(5 * 2**16, 1000 * 48 * 4)


@pytest.mark.gpu
def test_the_device_is_waited_for_twice_and_gives_the_same(bm_sim_ota) -> None:
    predictions, targets = bm_sim_ota.random_case(0, objects=[30, 0, 9], dtype=torch.float64)
    expected = pairs(SimOTA()(predictions, decoded(predictions), targets))
    predictions, targets = bm_sim_ota.random_case(
        0, objects=[30, 0, 9], dtype=torch.float64, device="cuda"
    )
    boxes, assigner = decoded(predictions), SimOTA()
    assert pairs(assigner(predictions, boxes, targets)) == expected
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing CUDA operation") as waits:
            assigner(predictions, boxes, targets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) <= 2


def test_the_config_reaches_every_number() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.CENTER_RADIUS = 2.5
    cfg.MODEL.ASSIGNER.TOP_K = 7
    cfg.MODEL.ASSIGNER.CLASS_COST = 0.5
    cfg.MODEL.ASSIGNER.IOU_COST = 4.0
    assigner = build_assigner(cfg)
    assert isinstance(assigner, SimOTA)
    assert (assigner.center_radius, assigner.top_k) == (2.5, 7)
    assert (assigner.class_cost, assigner.iou_cost) == (0.5, 4.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_other_settings_equal_the_literal_formula_too(bm_sim_ota, seed: int) -> None:
    settings = {"center_radius": 2.5, "top_k": 40, "class_cost": 0.5, "iou_cost": 4.0}
    predictions, targets = bm_sim_ota.random_case(
        seed, objects=[9, 4], size=(96, 96), num_classes=4, dtype=torch.float64
    )
    boxes = decoded(predictions)
    expected = bm_sim_ota.literal_sim_ota(predictions, boxes, targets, **settings)
    assert pairs(SimOTA(**settings)(predictions, boxes, targets)) == pairs(expected)
