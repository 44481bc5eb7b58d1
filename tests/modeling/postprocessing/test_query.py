from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_postprocessor
from yolov7.modeling.postprocessing import QueryPostprocessor
from yolov7.modeling.postprocessing.masks import full_image_masks
from yolov7.modeling.postprocessing.query_choice import best_class_of_each_query, best_pairs
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import SigmoidScores, SoftmaxScores
from yolov7.utils.errors import ConfigError

ORIGINAL = [(480, 640), (375, 500)]


@pytest.fixture
def images(query_cases) -> ImageList:
    sizes = [tuple(size) for size in query_cases.SIZES.tolist()]
    return ImageList(torch.zeros(2, 3, 96, 128), sizes)


def detr(**changes) -> QueryPostprocessor:
    parts = {"scores": SoftmaxScores(), "choice": best_class_of_each_query}
    return QueryPostprocessor(**(parts | changes))


@pytest.mark.parametrize(
    ("postprocessor", "case", "expected"),
    [
        (
            detr(),
            "softmax_predictions",
            [
                (
                    [0.061332, 0.061986, 0.067496],
                    [42, 45, 2],
                    [391.8632, 103.1588, 499.7681, 144.2517],
                ),
                (
                    [0.042974, 0.055373, 0.037432],
                    [74, 30, 17],
                    [333.3278, 205.7522, 365.1294, 246.0778],
                ),
            ],
        ),
        (
            detr(scores=SigmoidScores(), choice=best_pairs),
            "sigmoid_predictions",
            [
                (
                    [0.268917, 0.268904, 0.268884],
                    [21, 72, 5],
                    [460.9021, 266.0281, 520.9326, 332.5475],
                ),
                (
                    [0.268927, 0.268898, 0.268835],
                    [38, 83, 4],
                    [269.8312, 63.4370, 325.2591, 200.3492],
                ),
            ],
        ),
    ],
)
def test_the_authors_detections(query_cases, images, postprocessor, case, expected) -> None:
    """DETR 29901c5: all queries in their order. Anchor DETR 0b4358a: the best 100 pairs."""
    found = postprocessor(getattr(query_cases, case)(), images, ORIGINAL, [(0, 0)] * 2)
    for instances, size, (scores, classes, box) in zip(found, ORIGINAL, expected, strict=True):
        assert instances.image_size == size
        assert len(instances) == 100
        assert instances.scores[:3].tolist() == pytest.approx(scores, abs=5.1e-7)
        assert instances.pred_classes[:3].tolist() == classes
        assert instances.pred_classes.dtype == torch.int64
        # `Boxes` holds float32.
        assert instances.pred_boxes.tensor[0].tolist() == pytest.approx(box, abs=5.1e-5, rel=3e-7)
        assert not instances.has("pred_masks")


def test_the_authors_masks(query_cases, images) -> None:
    """DETR 29901c5: pixels of five masks, and a sum by place; all 100 of both images agreed."""
    logits, _ = query_cases.masks()
    predictions = replace(query_cases.softmax_predictions(), mask_logits=logits)
    found = detr()(predictions, images, ORIGINAL)
    expected = [
        {25: (154650, 7743552), 84: (152400, 7611983), 46: (161775, 8110736)},
        {50: (94413, 4725098), 89: (101727, 5076073)},
    ]
    for instances, size, total, masks in zip(
        found, ORIGINAL, (15343775, 9312766), expected, strict=True
    ):
        assert instances.pred_masks.shape == (100, *size)
        assert instances.pred_masks.dtype == torch.bool
        assert instances.pred_masks.sum().item() == total
        weights = (torch.arange(size[0] * size[1]) % 101).view(size)
        for query, (pixels, checksum) in masks.items():
            mask = instances.pred_masks[query]
            assert (mask.sum().item(), (mask * weights).sum().item()) == (pixels, checksum)


def test_masks_in_pieces_are_the_same_and_none_is_ordinary() -> None:
    logits = torch.randn(7, 5, 6)
    sizes = {"frame": (20, 24), "resized": (17, 24), "original": (40, 31)}
    whole = full_image_masks(logits, **sizes)
    assert torch.equal(full_image_masks(logits, **sizes, max_pixels=2 * 20 * 24), whole)
    assert full_image_masks(logits[:0], **sizes).shape == (0, 40, 31)


def test_masks_by_hand() -> None:
    """The left half of a frame, of which the image is the left three quarters, twice as large."""
    logits = torch.tensor([[[1.0, -1.0]]])
    masks = full_image_masks(logits, frame=(1, 8), resized=(1, 6), original=(2, 12))
    assert masks.tolist() == [[[True] * 8 + [False] * 4] * 2]


def three_queries() -> QueryPredictions:
    """Two classes and "no object"; the second query is sure of both its classes."""
    logits = torch.tensor([[[[0.0, 1.0, 0.0], [5.0, 4.0, -9.0], [0.0, 0.0, 9.0]]]])
    boxes = torch.tensor([[0.5, 0.5, 1.2, 0.5], [0.25, 0.5, 0.5, 1.0], [0.1, 0.1, 0.1, 0.1]])
    return QueryPredictions(logits, boxes.view(1, 1, 3, 4))


ONE_IMAGE = ImageList(torch.zeros(1, 3, 50, 100), [(50, 100)])


def test_boxes_are_not_clipped_and_the_order_is_that_of_the_queries() -> None:
    (found,) = detr()(three_queries(), ONE_IMAGE, [(100, 200)])
    assert found.pred_classes.tolist() == [1, 0, 0]
    torch.testing.assert_close(
        found.pred_boxes.tensor[:2], torch.tensor([[-20.0, 25, 220, 75], [0.0, 0, 100, 100]])
    )
    assert found.scores[1].item() == pytest.approx(1 / (1 + math.exp(-1) + math.exp(-14)))


def test_limits() -> None:
    (found,) = detr(max_detections=2)(three_queries(), ONE_IMAGE, [(50, 100)])
    assert found.pred_classes.tolist() == [1, 0]
    assert found.scores[0] < found.scores[1]
    (found,) = detr(score_threshold=0.6)(three_queries(), ONE_IMAGE, [(50, 100)])
    assert found.pred_classes.tolist() == [0]


def test_a_query_may_have_several_classes() -> None:
    predictions = three_queries()
    predictions = replace(predictions, class_logits=predictions.class_logits[..., :2])
    every = detr(scores=SigmoidScores(), choice=best_pairs)
    # Asked for 100 of six.
    assert len(every(predictions, ONE_IMAGE, [(50, 100)])[0]) == 6
    every.max_detections = 3
    (found,) = every(predictions, ONE_IMAGE, [(50, 100)])
    assert found.pred_classes.tolist() == [0, 1, 1]
    assert torch.equal(found.pred_boxes.tensor[0], found.pred_boxes.tensor[1])
    assert not torch.equal(found.pred_boxes.tensor[1], found.pred_boxes.tensor[2])


def test_what_is_not_finite_is_left_out() -> None:
    predictions = three_queries()
    predictions.boxes_norm[0, 0, 1, 2] = math.nan
    predictions.class_logits[0, 0, 2] = math.nan
    predictions = replace(predictions, mask_logits=torch.zeros(1, 3, 4, 4))
    (found,) = detr()(predictions, ONE_IMAGE, [(50, 100)])
    assert found.pred_classes.tolist() == [1]
    assert found.pred_masks.shape == (1, 50, 100)


def test_images_do_not_affect_one_another(query_cases, images) -> None:
    predictions = query_cases.softmax_predictions()
    both = detr(score_threshold=0.06)(predictions, images, ORIGINAL)
    assert len({len(instances) for instances in both}) == 2
    for index, size in enumerate(ORIGINAL):
        single = QueryPredictions(
            predictions.class_logits[:, [index]], predictions.boxes_norm[:, [index]]
        )
        (alone,) = detr(score_threshold=0.06)(single, images, [size])
        assert torch.equal(alone.scores, both[index].scores)
        assert torch.equal(alone.pred_boxes.tensor, both[index].pred_boxes.tensor)


def test_no_images_and_half_precision() -> None:
    nothing = QueryPredictions(torch.zeros(2, 0, 5, 4), torch.zeros(2, 0, 5, 4))
    assert detr()(nothing, ImageList(torch.zeros(0, 3, 8, 8), []), []) == []
    predictions = three_queries()
    half = replace(
        predictions,
        class_logits=predictions.class_logits.bfloat16(),
        boxes_norm=predictions.boxes_norm.bfloat16(),
    )
    (found,) = detr()(half, ONE_IMAGE, [(50, 100)])
    assert found.scores.dtype == found.pred_boxes.tensor.dtype == torch.float32


def test_config() -> None:
    cfg = get_config()
    cfg.MODEL.CRITERION.CLASS_LOSS, cfg.MODEL.YOLO.CONF_THRESHOLD = "softmax", 0.2
    cfg.TEST.DETECTIONS_PER_IMAGE = 30
    postprocessor = build_postprocessor(cfg, "QueryPostprocessor")
    assert isinstance(postprocessor.scores, SoftmaxScores)
    assert postprocessor.choice is best_class_of_each_query
    assert (postprocessor.score_threshold, postprocessor.max_detections) == (0.2, 30)
    cfg.MODEL.CRITERION.CLASS_LOSS, cfg.MODEL.CLASSES_PER_BOX = "focal", "every"
    postprocessor = build_postprocessor(cfg, "QueryPostprocessor")
    assert isinstance(postprocessor.scores, SigmoidScores)
    assert postprocessor.choice is best_pairs
    cfg.MODEL.CLASSES_PER_BOX = "all"
    with pytest.raises(ConfigError, match=r"CLASSES_PER_BOX.*best, every"):
        build_postprocessor(cfg, "QueryPostprocessor")
