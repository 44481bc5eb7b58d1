"""Which classes are taken for which, for background, and background for which."""

from __future__ import annotations

import numpy as np

from yolov7.evaluation.detections import Detections
from yolov7.evaluation.ground_truth import GroundTruth
from yolov7.evaluation.matching import Matches, find_overlaps, score_rank, take_in_order


def confusion_matrix(
    matches: Matches,
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    score_threshold: float,
) -> np.ndarray:
    """Count what became of each object and each detection.

    Of the detections with a score of `score_threshold` or more, those that `matches` calls right
    are on the diagonal: it holds the very numbers that precision and recall are made of. The others
    are then matched to the objects still free, of whatever other class, by falling score, each to
    the one it overlaps most; the same IoU is asked for. What is left over are detections of
    nothing (which includes second detections of an object) and missed objects. Ignored detections
    and objects that are not to be found take no part.

    Args:
        matches: the protocol's matches at an IoU threshold.
        detections: the detections.
        ground_truth: the objects.
        score_threshold: the lowest score of a detection that counts.

    Returns:
        (K + 1, K + 1) int64 counts, in the order of `GroundTruth.category_ids`: the rows are what
        the objects are, the columns what they were taken for. The last row is background that was
        taken for an object, the last column are missed objects, their corner is 0.
    """
    background = len(ground_truth.category_ids)
    kept = (detections.scores >= score_threshold) & ~matches.is_ignored
    found = matches.object_index[kept & matches.is_right]
    is_free = matches.is_counted.copy()
    is_free[found] = False
    pairs = find_overlaps(
        detections,
        ground_truth,
        detection_rows=np.flatnonzero(kept & ~matches.is_right),
        object_rows=np.flatnonzero(is_free),
        threshold=matches.iou_threshold,
        same_class=False,
    )
    classes = ground_truth.category_index[pairs.object_index]
    pairs = pairs[classes != detections.category_index[pairs.detection_index]]
    rank = score_rank(detections)[pairs.detection_index]
    pairs = pairs[np.lexsort((pairs.object_index, -pairs.overlap, rank))]
    pairs = pairs[take_in_order(pairs)]

    truth_of_detection = np.full(len(detections), background)
    truth_of_detection[matches.is_right] = ground_truth.category_index[
        matches.object_index[matches.is_right]
    ]
    truth_of_detection[pairs.detection_index] = ground_truth.category_index[pairs.object_index]
    is_free[pairs.object_index] = False
    truths = np.append(truth_of_detection[kept], ground_truth.category_index[is_free])
    taken_for = np.append(
        detections.category_index[kept], np.full(np.count_nonzero(is_free), background)
    )
    cells = np.bincount(truths * (background + 1) + taken_for, minlength=(background + 1) ** 2)
    return cells.reshape(background + 1, background + 1)
