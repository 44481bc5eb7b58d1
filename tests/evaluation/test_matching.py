"""Which detection found which object: by hand, and against pycocotools and a literal formula."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.evaluation import match_as_coco, match_as_voc, matching
from yolov7.evaluation.matching import Overlaps, find_overlaps, take_in_order

A, B = (0, 0, 10, 10), (20, 0, 10, 10)


def test_pairs_are_taken_as_one_after_the_other_would_be():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = rng.integers(0, 12, (2, 40))
        taken = take_in_order(Overlaps(first, second, np.ones(40)))
        busy_first, busy_second, expected = set(), set(), []
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            expected.append(a not in busy_first and b not in busy_second)
            if expected[-1]:
                busy_first.add(a)
                busy_second.add(b)
        assert taken.tolist() == expected


@pytest.mark.parametrize("most_pairs", [1_000_000, 3])
def test_overlaps_are_those_of_one_image_and_class(columns, monkeypatch, most_pairs):
    monkeypatch.setattr(matching, "_MOST_PAIRS", most_pairs)
    found, truth = columns(
        [(0, A), (1, A), (0, A, 1), (0, (0, 0, 10, 5), 1)],
        [(1, A, 0.5), (0, A, 0.5, 1), (1, A, 0.5, 1), (0, B, 0.5)],
        num_classes=2,
    )
    everything = {"detection_rows": np.arange(4), "object_rows": np.arange(4), "threshold": 0.1}
    pairs = find_overlaps(found, truth, same_class=True, **everything)
    rows = [pairs.detection_index, pairs.object_index, pairs.overlap]
    assert sorted(zip(*map(np.ndarray.tolist, rows), strict=True)) == [
        (0, 1, 1.0), (1, 2, 1.0), (1, 3, 0.5),
    ]  # fmt: skip
    pairs = find_overlaps(found, truth, same_class=False, **everything)
    assert len(pairs.overlap) == 6
    everything["object_rows"] = np.array([3])
    pairs = find_overlaps(found, truth, same_class=True, **everything)
    assert pairs.object_index.tolist() == [3]


@pytest.mark.parametrize("match", [match_as_coco, match_as_voc])
def test_nothing_at_all(columns, match):
    for objects, detections in (([], []), ([(0, A)], []), ([], [(0, A, 0.5)])):
        found, truth = columns(objects, detections, num_classes=2)
        matches = match(found, truth, iou_threshold=0.5)
        assert matches.object_index.tolist() == [-1] * len(detections)
        assert not matches.is_ignored.any()
        assert matches.is_counted.tolist() == [True] * len(objects)


def test_coco_takes_the_best_free_object_and_voc_only_the_best(columns):
    """Both detections fit the first object best; the second object, shifted by 2, is free."""
    shifted = (2, 0, 10, 10)
    found, truth = columns([(0, A), (0, shifted)], [(0, A, 0.9), (0, A, 0.8)], num_classes=1)
    coco = match_as_coco(found, truth, iou_threshold=0.5)
    voc = match_as_voc(found, truth, iou_threshold=0.5)
    assert coco.object_index.tolist() == [0, 1]
    assert voc.object_index.tolist() == [0, -1] and not voc.is_ignored.any()


def test_the_surest_detection_wins_not_the_closest(columns):
    found, truth = columns(
        [(0, A)], [(0, A, 0.5), (0, (1, 0, 10, 10), 0.9), (0, A, 0.7)], num_classes=1
    )
    for match in (match_as_coco, match_as_voc):
        assert match(found, truth, iou_threshold=0.5).object_index.tolist() == [-1, 0, -1]


def test_an_iou_that_is_just_reached_counts_for_coco_only(columns):
    found, truth = columns([(0, A)], [(0, (0, 0, 10, 5), 0.5)], num_classes=1)
    assert match_as_coco(found, truth, iou_threshold=0.5).is_right.all()
    assert not match_as_voc(found, truth, iou_threshold=0.5).is_right.any()


def test_crowds_and_difficult_objects_are_neither_found_nor_missed(columns):
    inside = (1, 1, 4, 4)
    objects, detections = [(0, A), (0, B)], [(0, inside, 0.9), (0, A, 0.8), (0, B, 0.7)]
    found, truth = columns(objects, detections, num_classes=1, crowds=[0])
    coco = match_as_coco(found, truth, iou_threshold=0.5)
    assert coco.is_ignored.tolist() == [True, True, False]
    assert coco.object_index.tolist() == [-1, -1, 1]
    assert coco.is_counted.tolist() == [False, True]
    # The small box lies in the difficult object, but its IoU with it is small: VOC calls it wrong.
    found, truth = columns(objects, detections, num_classes=1, difficult=[0])
    voc = match_as_voc(found, truth, iou_threshold=0.5)
    assert voc.is_ignored.tolist() == [False, True, False]
    assert voc.object_index.tolist() == [-1, -1, 1]
    assert voc.is_counted.tolist() == [False, True]


@pytest.mark.parametrize("threshold, place", [(0.5, 0), (0.75, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_coco_matches_are_those_of_pycocotools(
    synthetic_coco, reference, columns_of_coco, seed, threshold, place
):
    coco, rows = synthetic_coco(
        num_images=15, num_objects=250, num_detections=700, num_classes=3, seed=seed
    )
    _, evaluation, _ = reference(coco, rows)
    matches = match_as_coco(*columns_of_coco(coco, rows), iou_threshold=threshold)
    expected_object, expected_ignored = np.full((2, len(rows)), -1)
    is_crowd = {a["id"]: a["iscrowd"] for a in coco["annotations"]}
    for image in evaluation.evalImgs:
        if image is None or image["aRng"] != [0, 1e10]:
            continue
        for identity, matched, ignored in zip(
            image["dtIds"], image["dtMatches"][place], image["dtIgnore"][place], strict=True
        ):
            right = matched and not is_crowd[matched]
            expected_object[identity - 1] = matched - 1 if right else -1
            expected_ignored[identity - 1] = ignored
    assert (matches.object_index == expected_object).all()
    assert (matches.is_ignored == expected_ignored).all()
    assert matches.is_right.sum() > 20 and matches.is_ignored.any()


@pytest.mark.peer
def test_plain_iou_of_records_is_the_devkits_iou_of_inclusive_pixels(columns):
    rng = np.random.default_rng(1)
    low = rng.integers(1, 12, (2, 80, 2))
    high = low + rng.integers(0, 30, (2, 80, 2))
    xmin, ymin, xmax, ymax = np.moveaxis(np.concatenate([low, high], axis=2), 2, 0)
    # The devkit: pixels from 1, the last one included.
    w = np.minimum(xmax[0], xmax[1]) - np.maximum(xmin[0], xmin[1]) + 1
    h = np.minimum(ymax[0], ymax[1]) - np.maximum(ymin[0], ymin[1]) + 1
    both = np.maximum(w, 0) * np.maximum(h, 0)
    areas = (xmax - xmin + 1) * (ymax - ymin + 1)
    iou = both / (areas[0] + areas[1] - both)
    # Records: edges, from (xmin − 1, ymin − 1) to (xmax, ymax).
    boxes = np.stack([xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1], axis=2)
    found, truth = columns(
        [(0, box, image) for image, box in enumerate(boxes[0].tolist())],
        [(0, box, 0.5, image) for image, box in enumerate(boxes[1].tolist())],
        num_classes=1,
    )
    rows = np.arange(80)
    pairs = find_overlaps(
        found, truth, detection_rows=rows, object_rows=rows, threshold=1e-9, same_class=True
    )
    assert pairs.detection_index.tolist() == np.flatnonzero(iou).tolist()
    np.testing.assert_allclose(pairs.overlap, iou[iou > 0], rtol=1e-12)
    assert (iou > 0.3).sum() > 3
