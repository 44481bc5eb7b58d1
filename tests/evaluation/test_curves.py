"""Curves worked by hand, and against pycocotools' precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolov7.evaluation import match_as_coco, match_as_voc, score_curves
from yolov7.evaluation.curves import RECALLS, SCORES, mean_over_classes

BOXES = [(20 * i, 0, 10, 10) for i in range(5)]
NOWHERE = (0, 50, 10, 10)


def curves_of(columns, objects, detections, **settings):
    found, truth = columns(objects, detections, **settings)
    return score_curves(match_as_coco(found, truth, iou_threshold=0.5), found, truth)


@pytest.fixture
def by_hand(columns):
    """Four objects; right, a tie of wrong and right, right, wrong.

    threshold  kept  right  precision  recall  F1 = 2·right / (kept + objects)
          .9     1     1      1         1/4    2/5
          .8     3     2      2/3       2/4    4/7
          .5     4     3      3/4       3/4    6/8
          .3     5     3      3/5       3/4    6/9
    """
    return curves_of(
        columns,
        [(0, box) for box in BOXES[:4]],
        [
            (0, NOWHERE, 0.3),
            (0, BOXES[2], 0.5),
            (0, NOWHERE, 0.8),
            (0, BOXES[1], 0.8),
            (0, BOXES[0], 0.9),
        ],
        num_classes=1,
    )


def test_thresholds_by_hand(by_hand):
    expected = {
        0.0: (3 / 5, 3 / 4, 2 / 3),
        0.3: (3 / 5, 3 / 4, 2 / 3),
        0.31: (3 / 4, 3 / 4, 3 / 4),
        0.5: (3 / 4, 3 / 4, 3 / 4),
        0.51: (2 / 3, 1 / 2, 4 / 7),
        0.8: (2 / 3, 1 / 2, 4 / 7),
        0.81: (1, 1 / 4, 2 / 5),
        0.9: (1, 1 / 4, 2 / 5),
    }
    for score, numbers in expected.items():
        place = round(100 * score)
        assert SCORES[place] == score
        got = by_hand.precision[0, place], by_hand.recall[0, place], by_hand.f1[0, place]
        assert got == pytest.approx(numbers), score
    assert math.isnan(by_hand.precision[0, 91]), "nothing is kept"
    assert by_hand.recall[0, 91] == by_hand.f1[0, 91] == 0


def test_best_threshold_by_hand(by_hand):
    best = by_hand.best[0]
    assert (best.score, best.f1, best.precision, best.recall) == (0.5, 0.75, 0.75, 0.75)
    # On the grid 0.5 is the highest threshold that still keeps the detection with that score.
    assert by_hand.best_mean_f1 == (0.75, 0.5)


def test_precision_over_recall_by_hand(by_hand):
    """Made falling: 1 up to the recall 1/4, 3/4 up to 3/4, then nothing."""
    expected = np.where(RECALLS <= 0.25, 1, np.where(RECALLS <= 0.75, 0.75, 0))
    np.testing.assert_allclose(by_hand.precision_at_recall[0], expected)
    assert by_hand.num_objects.tolist() == [4]


def test_classes_are_kept_apart_and_those_without_objects_have_no_numbers(columns):
    curves = curves_of(
        columns,
        [(2, BOXES[0]), (0, BOXES[1])],
        [(2, BOXES[0], 0.6), (1, BOXES[0], 0.9), (0, BOXES[1], 0.4), (0, BOXES[0], 0.4)],
        num_classes=4,
    )
    assert curves.num_objects.tolist() == [1, 0, 1, 0]
    for k in (1, 3):
        for array in (curves.precision_at_recall, curves.precision, curves.recall, curves.f1):
            assert np.isnan(array[k]).all()
        assert math.isnan(curves.best[k].f1) and math.isnan(curves.best[k].score)
    assert curves.best[2].score == 0.6 and curves.best[2].f1 == 1
    assert curves.best[0].score == 0.4 and curves.best[0].f1 == pytest.approx(2 / 3)
    # Up to .4 the mean is of 1 and 2/3, up to .6 of 1 and 0.
    assert curves.mean_f1[[0, 40, 41, 60, 61]] == pytest.approx([5 / 6, 5 / 6, 1 / 2, 1 / 2, 0])
    assert curves.best_mean_f1 == (pytest.approx(5 / 6), 0.4)
    swapped = curves.of_classes(np.array([2, 0]))
    assert swapped.best == [curves.best[2], curves.best[0]]
    assert (swapped.f1 == curves.f1[[2, 0]]).all()


def test_nothing_found(columns):
    curves = curves_of(columns, [(0, BOXES[0])], [], num_classes=1)
    assert (curves.precision_at_recall == 0).all() and (curves.f1 == 0).all()
    assert np.isnan(curves.precision).all()
    assert curves.best[0].f1 == 0 and math.isnan(curves.best[0].score)


def test_no_objects_at_all(columns):
    curves = curves_of(columns, [], [(0, BOXES[0], 0.5)], num_classes=1)
    assert np.isnan(curves.mean_f1).all()
    assert all(math.isnan(value) for value in curves.best_mean_f1)
    assert curves_of(columns, [], [], num_classes=0).f1.shape == (0, 101)


def test_ignored_detections_take_no_part(columns):
    objects, detections = [(0, BOXES[0]), (0, BOXES[1])], [(0, BOXES[0], 0.9), (0, BOXES[1], 0.5)]
    found, truth = columns(objects, detections, num_classes=1, difficult=[0])
    curves = score_curves(match_as_voc(found, truth, iou_threshold=0.5), found, truth)
    assert curves.num_objects.tolist() == [1]
    assert curves.best[0].score == 0.5 and curves.best[0].f1 == 1


def test_mean_leaves_out_what_is_not_known():
    values = np.array([[1, np.nan], [3, np.nan], [np.nan, np.nan]])
    mean = mean_over_classes(values)
    assert mean[0] == 2 and math.isnan(mean[1])


def test_precision_is_that_of_pycocotools_where_no_scores_are_equal(
    synthetic_coco, reference, columns_of_coco
):
    coco, rows = synthetic_coco(num_images=20, num_objects=200, num_detections=600, num_classes=4)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    rows = [{**row, "score": float(s) / 1000} for row, s in zip(rows, shuffled, strict=True)]
    found, truth = columns_of_coco(coco, rows)
    curves = score_curves(match_as_coco(found, truth, iou_threshold=0.5), found, truth)
    expected = reference(coco, rows)[1].eval["precision"][0, :, :, 0, 2].T
    np.testing.assert_allclose(curves.precision_at_recall, expected, atol=1e-12)
    assert expected.max() > 0.5
