"""Confusion matrices worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.evaluation import confusion_matrix, match_as_coco, match_as_voc, score_curves

BOXES = [(20 * i, 0, 10, 10) for i in range(5)]
NOWHERE = (0, 50, 10, 10)


def matrix(found, truth, *, match=match_as_coco, iou=0.5, score=0.25):
    matches = match(found, truth, iou_threshold=iou)
    return confusion_matrix(matches, found, truth, score_threshold=score)


def test_by_hand(columns):
    found, truth = columns(
        [(0, BOXES[0]), (1, BOXES[1]), (0, BOXES[2]), (1, BOXES[3]), (0, BOXES[4])],
        [
            (0, BOXES[0], 0.9),  # right
            (0, BOXES[0], 0.8),  # a second time: of nothing
            (0, BOXES[1], 0.7),  # 1 taken for 0
            (2, BOXES[2], 0.6),  # 0 taken for 2 …
            (1, BOXES[2], 0.3),  # … so that this one is of nothing
            (1, NOWHERE, 0.5),  # of nothing
            (1, BOXES[3], 0.2),  # below the threshold: the object is missed
            (1, BOXES[4], 0.95),  # surer, but of another class than …
            (0, BOXES[4], 0.4),  # … the right one
        ],
        num_classes=3,
    )
    assert matrix(found, truth).tolist() == [
        [2, 0, 1, 0],
        [1, 0, 0, 1],
        [0, 0, 0, 0],
        [1, 3, 0, 0],
    ]
    # With the lowest threshold nothing is missed.
    assert matrix(found, truth, score=0.0)[1].tolist() == [1, 1, 0, 0]
    # A score that equals the threshold counts.
    assert matrix(found, truth, score=0.2)[1].tolist() == [1, 1, 0, 0]


def test_another_iou(columns):
    half = (0, 0, 10, 5)
    found, truth = columns([(0, BOXES[0])], [(1, half, 0.9)], num_classes=2)
    assert matrix(found, truth).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert matrix(found, truth, iou=0.6).tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_the_surer_of_equally_wrong_ones_counts_and_takes_its_closest_object(columns):
    shifted = (2, 0, 10, 10)
    found, truth = columns(
        [(0, BOXES[0]), (1, shifted)],
        [(2, BOXES[0], 0.5), (3, shifted, 0.9), (3, shifted, 0.4)],
        num_classes=4,
    )
    counts = matrix(found, truth)
    assert counts[0, 2] == counts[1, 3] == counts[4, 3] == 1 and counts.sum() == 3


def test_ignored_detections_and_objects_take_no_part(columns):
    objects = [(0, BOXES[0]), (0, BOXES[1])]
    detections = [(0, (1, 1, 3, 3), 0.9), (0, BOXES[1], 0.9), (1, BOXES[0], 0.9)]
    crowd = matrix(*columns(objects, detections, num_classes=2, crowds=[0]))
    # A detection of another class than the crowd's is wrong.
    assert crowd.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    difficult = columns(objects, [(0, BOXES[0], 0.9)], num_classes=2, difficult=[0])
    assert matrix(*difficult, match=match_as_voc).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_a_second_detection_of_voc_does_not_take_the_neighbour(columns):
    found, truth = columns(
        [(0, BOXES[0]), (0, (2, 0, 10, 10))],
        [(0, BOXES[0], 0.9), (0, BOXES[0], 0.8)],
        num_classes=1,
    )
    assert matrix(found, truth, match=match_as_voc).tolist() == [[1, 1], [1, 0]]
    assert matrix(found, truth).tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize("objects, detections", [([], []), ([(0, BOXES[0])], [])])
def test_nothing(columns, objects, detections):
    counts = matrix(*columns(objects, detections, num_classes=2))
    assert counts.shape == (3, 3) and counts.sum() == counts[0, 2] == len(objects)


def test_agrees_with_the_curves_at_every_threshold(synthetic_coco, columns_of_coco):
    coco, rows = synthetic_coco(num_images=20, num_objects=250, num_detections=600, num_classes=4)
    found, truth = columns_of_coco(coco, rows)
    matches = match_as_coco(found, truth, iou_threshold=0.5)
    curves = score_curves(matches, found, truth)
    for place in (0, 20, 40, 60):
        counts = confusion_matrix(matches, found, truth, score_threshold=place / 100)
        right = np.diagonal(counts)[:4]
        assert (counts[:4].sum(axis=1) == truth.count_objects()).all()
        np.testing.assert_allclose(right / counts[:, :4].sum(axis=0), curves.precision[:, place])
        np.testing.assert_allclose(right / truth.count_objects(), curves.recall[:, place])
        assert right.min() > 0
        assert place == 60 or counts[:4, :4].sum() > right.sum()
