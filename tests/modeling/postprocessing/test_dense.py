from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from yolov7.config import get_config
from yolov7.d2 import Boxes, ImageList, Instances
from yolov7.modeling import build_postprocessor
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.postprocessing import DensePostprocessor
from yolov7.modeling.postprocessing.class_choice import best_class, every_class
from yolov7.modeling.postprocessing.dense import Candidates, best_of_each
from yolov7.modeling.predictions import DensePredictions
from yolov7.ops.nms import NMS_TYPES, agnostic_nms, class_aware_nms
from yolov7.utils.errors import ConfigError

LOWEST = -50.0


def make_postprocessor(**changes) -> DensePostprocessor:
    parts = {
        "box_coder": YOLOXBoxCoder(),
        "score_threshold": 0.1,
        "nms": partial(class_aware_nms, threshold=0.65),
        "max_detections": 100,
    }
    return DensePostprocessor(**(parts | changes))


def predictions_of(
    images: list[list[tuple[list[float], int, float, float]]],
    *,
    num_classes: int = 3,
    grid: int = 8,
    dtype: torch.dtype = torch.float64,
) -> DensePredictions:
    """Predictions that decode to (box, class, class logit, objectness logit), one a cell."""
    centers, strides = cell_centers([(grid, grid)], [8], dtype=torch.float64)
    shape = (len(images), grid * grid)
    class_logits = torch.full((*shape, num_classes), LOWEST, dtype=dtype)
    objectness = torch.full(shape, LOWEST, dtype=dtype)
    deltas = torch.zeros(*shape, 4, dtype=dtype)
    for image, detections in enumerate(images):
        for cell, (box, label, class_logit, objectness_logit) in enumerate(detections):
            class_logits[image, cell, label] = class_logit
            objectness[image, cell] = objectness_logit
            deltas[image, cell] = YOLOXBoxCoder().encode(
                torch.tensor(box, dtype=torch.float64), centers[cell], strides[cell]
            )
    return DensePredictions(
        class_logits=class_logits,
        objectness_logits=objectness,
        box_deltas=deltas,
        centers=centers,
        strides=strides,
        level_sizes=((grid, grid),),
    )


def image_list(sizes: list[tuple[int, int]], frame: tuple[int, int] = (64, 64)) -> ImageList:
    return ImageList(torch.zeros(len(sizes), 3, *frame), sizes)


def random_predictions(seed: int, images: int, grid: int = 20) -> DensePredictions:
    generator = torch.Generator().manual_seed(seed)
    centers, strides = cell_centers([(grid, grid)], [8])
    shape = (images, grid * grid)
    return DensePredictions(
        class_logits=torch.randn(*shape, 3, generator=generator),
        objectness_logits=torch.randn(*shape, generator=generator),
        box_deltas=torch.randn(*shape, 4, generator=generator) * 0.5 + 1,
        centers=centers,
        strides=strides,
        level_sizes=((grid, grid),),
    )


def assert_same(first: Instances, second: Instances) -> None:
    """Equal but for the last bit, in which torch's vectorised exp depends on a value's place."""
    assert first.image_size == second.image_size
    assert first.pred_classes.equal(second.pred_classes)
    torch.testing.assert_close(first.scores, second.scores)
    torch.testing.assert_close(first.pred_boxes.tensor, second.pred_boxes.tensor)


def test_one_image_by_hand() -> None:
    predictions = predictions_of(
        [
            [
                ([10, 10, 30, 30], 1, 2.0, 1.0),
                ([10, 10, 30, 29], 1, 1.0, 1.0),  # the same object, worse
                ([10, 10, 30, 29], 2, 0.0, 1.0),  # another class
                ([-8, 40, 24, 60], 0, 3.0, 3.0),  # reaches beyond the image
                ([40, 40, 50, 50], 0, 9.0, -3.0),  # σ(−3) < 0.1
                ([50, 10, 60, 20], 0, 9.0, 9.0),  # in the padding: the image is 48 wide
            ]
        ]
    )
    # 64 high and 48 wide, of an original 128 high and 24 wide.
    (found,) = make_postprocessor()(predictions, image_list([(64, 48)]), [(128, 24)], [(0, 0)])
    assert found.image_size == (128, 24)
    assert isinstance(found.pred_boxes, Boxes)
    assert found.pred_classes.tolist() == [0, 1, 2]
    logits = torch.tensor([[3.0, 3.0], [2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(found.scores, logits.sigmoid().prod(dim=1))
    expected = torch.tensor([[0, 80, 12, 120], [5, 20, 15, 60], [5, 20, 15, 58]])
    torch.testing.assert_close(
        found.pred_boxes.tensor.double(), expected.double(), atol=1e-5, rtol=0
    )


def test_offsets_and_sizes_of_each_image_are_undone_exactly() -> None:
    box = [18.0, 20.0, 34.0, 44.0]
    predictions = predictions_of([[(box, 0, 9.0, 9.0)]] * 3)
    sizes, originals = [(32, 64), (64, 40), (48, 48)], [(320, 640), (32, 20), (48, 48)]
    offsets = [(0, 16), (12, 0), (8, 8)]
    found = make_postprocessor()(predictions, image_list(sizes), originals, offsets)
    expected = [
        [180.0, 40.0, 340.0, 280.0],
        [3.0, 10.0, 11.0, 22.0],
        [10.0, 12.0, 26.0, 36.0],
    ]
    for result, original, wanted in zip(found, originals, expected, strict=True):
        assert result.image_size == original
        torch.testing.assert_close(
            result.pred_boxes.tensor, torch.tensor([wanted]), atol=1e-4, rtol=0, check_dtype=False
        )
    again = make_postprocessor()(predictions, image_list(sizes), originals, torch.tensor(offsets))
    for first, second in zip(found, again, strict=True):
        assert_same(first, second)


def test_agnostic_suppression_and_the_cap() -> None:
    detections = [([8.0 * i, 0, 8.0 * i + 6, 6], i % 2, 2.0 - i, 9.0) for i in range(6)]
    detections.append(([0.0, 0, 6, 5.9], 2, 1.9, 9.0))
    predictions, images = predictions_of([detections]), image_list([(64, 64)])
    call = {"images": images, "original_sizes": [(64, 64)], "offsets": [(0, 0)]}
    normal = make_postprocessor(max_detections=3, score_threshold=0.0)
    assert normal(predictions, **call)[0].pred_classes.tolist() == [0, 2, 1]
    agnostic = make_postprocessor(
        max_detections=3, score_threshold=0.0, nms=partial(agnostic_nms, threshold=0.65)
    )
    assert agnostic(predictions, **call)[0].pred_classes.tolist() == [0, 1, 0]


def test_every_class_of_a_box_is_a_detection_of_its_own() -> None:
    """One box with σ(class) .9, .8 and .05 at objectness ½, and a weaker one that overlaps it."""
    predictions = predictions_of(
        [[([10, 10, 30, 30], 0, 0.0, 0.0), ([10, 10, 30, 29], 0, 0.0, 0.0)], []]
    )
    chances = torch.tensor([[0.9, 0.8, 0.05], [0.1, 0.6, 0.5]], dtype=torch.float64)
    predictions.class_logits[0, :2] = chances.logit()
    images, sizes, corners = image_list([(64, 64)] * 2), [(64, 64)] * 2, [(0, 0)] * 2
    every = make_postprocessor(class_choice=every_class)(predictions, images, sizes, corners)
    assert [len(found) for found in every] == [3, 0]
    assert every[0].pred_classes.tolist() == [0, 1, 2]
    assert every[0].scores.tolist() == pytest.approx([0.45, 0.4, 0.25])
    assert every[0].pred_boxes.tensor[:, 3].tolist() == pytest.approx([30, 30, 29])
    best = make_postprocessor()(predictions, images, sizes, corners)
    assert best[0].pred_classes.tolist() == [0, 1]
    assert best[0].scores.tolist() == pytest.approx([0.45, 0.3])


def test_only_the_best_candidates_of_each_image_are_looked_at() -> None:
    apart = [([8.0 * i, 0, 8.0 * i + 6, 6], 0, 2.0 - i, 9.0) for i in range(5)]
    predictions = predictions_of([apart, apart[:1], list(reversed(apart))])
    postprocessor = make_postprocessor(max_candidates=2, score_threshold=0.0)
    scores = [found.scores for found in postprocessor.candidates(predictions)]
    assert [len(each) for each in scores] == [2, 2, 2]
    wanted = torch.tensor([2.0, 1.0]).sigmoid() * torch.tensor(9.0).sigmoid()
    torch.testing.assert_close(scores[0].float(), wanted)
    torch.testing.assert_close(scores[2].float(), wanted)
    sizes = [(64, 64)] * 3
    found = postprocessor(predictions, image_list(sizes), sizes, [(0, 0)] * 3)
    lefts = [result.pred_boxes.tensor[:, 0].round().tolist() for result in (found[0], found[2])]
    assert lefts == [[0, 8], [0, 8]]


def test_the_limit_holds_for_what_several_views_bring_together() -> None:
    parts = {"scores": torch.tensor([0.2, 0.9, 0.5]), "classes": torch.zeros(3, dtype=torch.int64)}
    corners = torch.tensor([[0.0, 0], [10, 0], [20, 0]])
    candidates = [Candidates(boxes=torch.cat([corners, corners + 5], dim=1), **parts)]
    (found,) = make_postprocessor(max_candidates=2).finish(
        candidates, image_list([(64, 64)]), [(64, 64)], [(0, 0)]
    )
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])


def test_the_best_of_each_group() -> None:
    groups = torch.tensor([0, 0, 0, 2, 2, 3])
    scores = torch.tensor([0.1, 0.5, 0.5, 0.2, 0.9, 0.0])
    assert best_of_each(groups, scores, 2).tolist() == [1, 2, 4, 3, 5]
    assert best_of_each(groups, scores, 1).tolist() == [1, 4, 5]
    assert best_of_each(groups[:0], scores[:0], 1).tolist() == []


def test_nothing_above_the_threshold_and_no_images() -> None:
    predictions = predictions_of([[], [([1, 1, 9, 9], 0, 5.0, 5.0)], []])
    found = make_postprocessor()(
        predictions, image_list([(64, 64)] * 3), [(10, 20)] * 3, [(0, 0)] * 3
    )
    assert [len(result) for result in found] == [0, 1, 0]
    assert found[0].pred_boxes.tensor.shape == (0, 4)
    assert found[0].pred_classes.dtype == torch.int64
    nothing = random_predictions(0, images=0)
    assert make_postprocessor()(nothing, image_list([]), [], []) == []


def test_a_batch_is_its_images() -> None:
    predictions = random_predictions(1, images=4)
    sizes = [(160, 160), (100, 160), (160, 64), (32, 32)]
    originals, offsets = [(333, 334), (50, 80), (160, 64), (1000, 1000)], [(0, 0)] * 4
    together = make_postprocessor()(predictions, image_list(sizes), originals, offsets)
    assert min(len(result) for result in together) > 0
    for image, result in enumerate(together):
        part = slice(image, image + 1)
        single = replace(
            predictions,
            class_logits=predictions.class_logits[part],
            objectness_logits=predictions.objectness_logits[part],
            box_deltas=predictions.box_deltas[part],
        )
        (alone,) = make_postprocessor()(
            single, image_list(sizes[part]), originals[part], offsets[part]
        )
        assert_same(result, alone)


def literal(predictions: DensePredictions, threshold: float, most: int) -> tuple[Tensor, Tensor]:
    """Scores and boxes of one image by the definition: everything at once, no short cuts."""
    objectness = predictions.objectness_logits[0, :, None].sigmoid()
    scores = predictions.class_logits[0].sigmoid() * objectness
    scores, classes = scores.max(dim=1)
    boxes = YOLOXBoxCoder().decode(
        predictions.box_deltas[0], predictions.centers, predictions.strides
    )
    chosen = scores >= threshold
    scores, boxes, classes = scores[chosen], boxes[chosen], classes[chosen]
    kept = class_aware_nms(boxes, scores, classes, 0.65).index[:most]
    return scores[kept], boxes[kept]


@pytest.mark.parametrize(("threshold", "most"), [(0.0, 30), (0.0, 3000), (0.3, 30), (0.9, 5)])
def test_short_cuts_do_not_change_the_result(threshold: float, most: int) -> None:
    # 50x50 cells are more than the first round of suppression looks at.
    predictions = random_predictions(2, images=1, grid=50)
    # Far from the border, so that clipping changes nothing.
    predictions = replace(predictions, centers=predictions.centers + 200)
    images = image_list([(1000, 1000)], (1000, 1000))
    (found,) = make_postprocessor(score_threshold=threshold, max_detections=most)(
        predictions, images, [(1000, 1000)], [(0, 0)]
    )
    scores, boxes = literal(predictions, threshold, most)
    assert found.scores.equal(scores)
    torch.testing.assert_close(found.pred_boxes.tensor, boxes.clamp(0, 1000))


def crowded_pair(kind: str, **changes) -> Instances:
    """Two boxes with IoU .8 and scores .9 and .5, in an image half as large as its original."""
    predictions = predictions_of(
        [[([10, 10, 30, 30], 1, 50.0, 0.0), ([10, 10, 30, 26], 1, 50.0, 0.0)]]
    )
    predictions.objectness_logits[0, :2] = torch.tensor([0.9, 0.5]).logit()
    nms = partial(NMS_TYPES[kind], threshold=0.6)
    postprocessor = make_postprocessor(nms=nms, **changes)
    (found,) = postprocessor(predictions, image_list([(64, 64)]), [(128, 128)], [(0, 0)])
    return found


@pytest.mark.parametrize(
    ("kind", "scores", "bottoms"),
    [
        ("normal", [0.9], [60]),
        ("agnostic", [0.9], [60]),
        ("cluster", [0.9], [60]),
        ("diou", [0.9], [60]),
        ("soft-linear", [0.9, 0.5 * 0.2], [60, 52]),
        ("soft-gaussian", [0.9, 0.5 * math.exp(-0.64 / 0.5)], [60, 52]),
        ("wbf", [0.9], [2 * (0.9 * 30 + 0.5 * 26) / 1.4]),
    ],
)
def test_suppression_may_change_boxes_and_scores(kind, scores, bottoms) -> None:
    found = crowded_pair(kind, score_threshold=0.05)
    assert found.scores.tolist() == pytest.approx(scores, abs=1e-6)
    assert found.pred_boxes.tensor[:, 3].tolist() == pytest.approx(bottoms, abs=1e-4)
    assert found.pred_classes.tolist() == [1] * len(scores)


def test_what_suppression_lowers_below_the_threshold_is_not_reported() -> None:
    assert len(crowded_pair("soft-linear", score_threshold=0.11)) == 1
    assert len(crowded_pair("soft-linear", score_threshold=0.05, max_detections=1)) == 1


def test_boxes_and_scores_that_are_not_finite_are_left_out() -> None:
    detections = [([8.0 * i, 0, 8.0 * i + 6, 6], 0, 3.0, 3.0) for i in range(4)]
    predictions = predictions_of([detections], dtype=torch.float32)
    predictions.box_deltas[0, 0, 2] = 500.0
    predictions.box_deltas[0, 1, 0] = float("nan")
    predictions.class_logits[0, 2] = float("nan")
    (found,) = make_postprocessor()(predictions, image_list([(64, 64)]), [(64, 64)], [(0, 0)])
    torch.testing.assert_close(found.pred_boxes.tensor, torch.tensor([[24.0, 0, 30, 6]]))


def test_heads_without_objectness_score_by_class_alone() -> None:
    predictions = predictions_of([[([8, 8, 16, 16], 1, 1.5, 0.0)]])
    predictions = replace(predictions, objectness_logits=None)
    (found,) = make_postprocessor()(predictions, image_list([(64, 64)]), [(64, 64)], [(0, 0)])
    assert found.scores.tolist() == pytest.approx([torch.tensor(1.5).sigmoid().item()])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(dtype: torch.dtype) -> None:
    predictions = predictions_of([[([8, 8, 16, 16], 1, 1.5, 2.0)]], dtype=dtype)
    (found,) = make_postprocessor()(predictions, image_list([(64, 64)]), [(64, 64)], [(0, 0)])
    assert found.scores.dtype == torch.float32
    assert found.pred_boxes.tensor.tolist() == [pytest.approx([8, 8, 16, 16], abs=0.1)]


def test_the_config_reaches_every_number() -> None:
    cfg = get_config()
    cfg.MODEL.YOLO.CONF_THRESHOLD = 0.2
    cfg.MODEL.YOLO.NMS_THRESHOLD = 0.5
    cfg.MODEL.NMS_TYPE = "agnostic"
    cfg.TEST.DETECTIONS_PER_IMAGE = 7
    cfg.TEST.CANDIDATES_PER_IMAGE = 9
    assert build_postprocessor(cfg, box_coder=YOLOXBoxCoder()).class_choice is best_class
    cfg.MODEL.CLASSES_PER_BOX = "every"
    coder = YOLOXBoxCoder()
    postprocessor = build_postprocessor(cfg, box_coder=coder)
    assert postprocessor.box_coder is coder
    assert (postprocessor.score_threshold, postprocessor.max_detections) == (0.2, 7)
    assert postprocessor.max_candidates == 9
    assert postprocessor.class_choice is every_class
    assert postprocessor.nms.func is agnostic_nms
    assert postprocessor.nms.keywords == {"threshold": 0.5}
    cfg.MODEL.NMS_TYPE = "agnostc"
    with pytest.raises(ConfigError, match=r"MODEL.NMS_TYPE.*'agnostc'.*'agnostic'"):
        build_postprocessor(cfg, box_coder=coder)
    cfg.MODEL.NMS_TYPE, cfg.MODEL.CLASSES_PER_BOX = "normal", "all"
    with pytest.raises(ConfigError, match=r"MODEL.CLASSES_PER_BOX.*'all'.*best, every"):
        build_postprocessor(cfg, box_coder=coder)
