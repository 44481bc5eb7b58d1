"""Precision, recall and F1 of each class, over recall and over the score threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolov7.evaluation.detections import Detections
from yolov7.evaluation.ground_truth import GroundTruth
from yolov7.evaluation.matching import Matches

#: COCO's recall levels.
RECALLS = np.linspace(0.0, 1.0, 101)
#: The score thresholds at which classes are compared and averaged.
SCORES = np.arange(101) / 100


@dataclass(frozen=True)
class BestF1:
    """The score threshold with the best F1 of a class, and what it gives.

    The threshold is the score of a detection: those with it or a higher one are kept. Of equally
    good ones it is the highest. All are NaN for a class without objects; without detections the
    threshold alone is.
    """

    score: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True)
class ScoreCurves:
    """The curves of K classes at one IoU threshold, in the order of `GroundTruth.category_ids`.

    A threshold keeps the detections with this score or a higher one, so that detections with equal
    scores are kept or dropped together. Classes without objects have NaN everywhere.

    Attributes:
        num_objects: (K,) int64 objects that are to be found.
        precision_at_recall: (K, 101) the highest precision with which at least the recalls
            `RECALLS` are reached; 0 where they are not.
        precision: (K, 101) at the thresholds `SCORES`; NaN where nothing is kept.
        recall: (K, 101) at the thresholds `SCORES`.
        f1: (K, 101) at the thresholds `SCORES`: 2·right / (2·right + wrong + missed).
        best: the best threshold of each class.
    """

    num_objects: np.ndarray
    precision_at_recall: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    best: list[BestF1]

    def of_classes(self, order: np.ndarray) -> ScoreCurves:
        """Choose classes, or give them another order."""
        arrays = (self.num_objects, self.precision_at_recall, self.precision, self.recall, self.f1)
        return ScoreCurves(*(a[order] for a in arrays), best=[self.best[k] for k in order])

    @property
    def mean_f1(self) -> np.ndarray:
        """(101,) mean of F1 over the classes with objects; NaN if there is none."""
        return mean_over_classes(self.f1)

    @property
    def best_mean_f1(self) -> tuple[float, float]:
        """The best of `mean_f1` and its threshold, the highest of equally good ones."""
        mean = self.mean_f1
        if np.isnan(mean).any():
            return np.nan, np.nan
        place = len(mean) - 1 - int(np.argmax(mean[::-1]))
        return float(mean[place]), float(SCORES[place])


def score_curves(
    matches: Matches, detections: Detections, ground_truth: GroundTruth
) -> ScoreCurves:
    """Compute the curves of all classes.

    Args:
        matches: which detections are right; ignored ones take no part.
        detections: the detections.
        ground_truth: the data set.
    """
    num_classes = len(ground_truth.category_ids)
    num_objects = np.bincount(
        ground_truth.category_index[matches.is_counted], minlength=num_classes
    )
    rows = np.flatnonzero(~matches.is_ignored)
    rows = rows[np.lexsort((-detections.scores[rows], detections.category_index[rows]))]
    limits = np.searchsorted(detections.category_index[rows], np.arange(num_classes + 1))
    curves = [
        _class_curves(
            detections.scores[rows[begin:end]], matches.is_right[rows[begin:end]], int(count)
        )
        for begin, end, count in zip(limits, limits[1:], num_objects, strict=False)
    ]
    arrays = np.array([curve[:4] for curve in curves]).reshape(num_classes, 4, len(RECALLS))
    return ScoreCurves(num_objects, *arrays.swapaxes(0, 1), best=[curve[4] for curve in curves])


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Average (K, n) over the classes whose values are not NaN, to (n,); NaN if there is none."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _class_curves(
    scores: np.ndarray, is_right: np.ndarray, num_objects: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, BestF1]:
    """Compute one class's `precision_at_recall`, `precision`, `recall`, `f1` and best threshold.

    Args:
        scores: (n,) falling.
        is_right: (n,) bool.
        num_objects: objects to find.
    """
    if num_objects == 0:
        nothing = np.full(len(SCORES), np.nan)
        return nothing, nothing, nothing, nothing, BestF1(*[np.nan] * 4)
    # One point for each distinct score, the last of its detections, after a point without any.
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)[: len(scores)]
    kept = np.append(0, ends + 1)
    right = np.append(0, np.cumsum(is_right)[ends])
    precision = np.divide(right, kept, out=np.full(len(kept), np.nan), where=kept > 0)
    recall = right / num_objects
    f1 = 2 * right / (kept + num_objects)

    envelope = np.append(np.maximum.accumulate(precision[:0:-1])[::-1], 0)
    at_recall = envelope[np.searchsorted(recall[1:], RECALLS, side="left")]
    point = np.searchsorted(-scores[ends], -SCORES, side="right")
    top = int(np.argmax(f1[1:])) + 1 if len(ends) else 0
    score = float(scores[ends[top - 1]]) if top else np.nan
    best = BestF1(score, float(f1[top]), float(precision[top]), float(recall[top]))
    return at_recall, precision[point], recall[point], f1[point], best
