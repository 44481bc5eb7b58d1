"""Curves and confusion matrix of an evaluation, as pictures and as numbers in a json file."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yolov7.evaluation.confusion import confusion_matrix
from yolov7.evaluation.curves import RECALLS, SCORES, ScoreCurves, score_curves
from yolov7.evaluation.dataset import EvaluatedDataset
from yolov7.evaluation.detections import Detections
from yolov7.evaluation.matching import Matches
from yolov7.utils.atomic import atomic_write_json
from yolov7.utils.errors import ConfigError
from yolov7.visualization import plot_confusion_matrix, plot_f1, plot_precision_recall

logger = logging.getLogger(__name__)

_CURVE_IOU = 0.5


@dataclass(frozen=True)
class ConfusionThresholds:
    """What counts in a confusion matrix.

    Attributes:
        score: the lowest score of a detection.
        iou: the IoU with an object from which on a detection has found it, in (0, 1].

    Raises:
        ConfigError: `iou` is outside, or `score` is no number.
    """

    score: float = 0.25
    iou: float = 0.5

    def __post_init__(self):
        if not 0 < self.iou <= 1:
            raise ConfigError(f"The IoU threshold must be above 0 and at most 1, got {self.iou:g}.")
        if math.isnan(self.score):
            raise ConfigError("The score threshold must be a number, got nan.")


#: Those of an evaluation where nobody says otherwise.
DEFAULT_THRESHOLDS = ConfusionThresholds()


@dataclass(frozen=True)
class Diagnosis:
    """Where a model is right and wrong, with K classes in the order of the model's indices.

    Attributes:
        labels: name of each class.
        category_ids: the data set's id of each class.
        curves: precision, recall and F1 at IoU 0.5; see `ScoreCurves`.
        confusion: (K + 1, K + 1) counts; see `confusion_matrix`.
        confusion_thresholds: what they were counted with.
    """

    labels: list[str]
    category_ids: list[int]
    curves: ScoreCurves
    confusion: np.ndarray
    confusion_thresholds: ConfusionThresholds

    def write(self, folder: str | Path, *, ap50: Sequence[float]) -> None:
        """Write `diagnostics.json`, `pr_curve.png`, `f1_curve.png` and `confusion_matrix.png`.

        Args:
            folder: made if need be.
            ap50: (K,) ×100, the evaluation's own numbers, to be written on the curves.

        Raises:
            UserError: a file cannot be written.
        """
        folder, curves = Path(folder), self.curves
        best_f1, best_score = curves.best_mean_f1
        atomic_write_json(folder / "diagnostics.json", self.to_json(ap50=ap50))
        plot_precision_recall(
            folder / "pr_curve.png",
            recall=RECALLS,
            precision=curves.precision_at_recall,
            ap50=np.asarray(ap50),
            names=self.labels,
        )
        plot_f1(
            folder / "f1_curve.png",
            scores=SCORES,
            f1=curves.f1,
            best=[(best.score, best.f1) for best in curves.best],
            mean=curves.mean_f1,
            names=self.labels,
        )
        plot_confusion_matrix(
            folder / "confusion_matrix.png",
            counts=self.confusion,
            names=self.labels,
            score_threshold=self.confusion_thresholds.score,
            iou_threshold=self.confusion_thresholds.iou,
        )
        if not math.isnan(best_f1):
            logger.info(
                f"Best mean F1 at IoU {_CURVE_IOU}: {best_f1:.3f}, with the score "
                f"threshold {best_score:.2f}. Curves and confusion matrix are in {folder}."
            )

    def to_json(self, *, ap50: Sequence[float]) -> dict[str, Any]:
        """Give all numbers as plain containers; null stands for what is not defined.

        Args:
            ap50: (K,) ×100, the evaluation's own numbers.
        """
        curves = self.curves
        best_f1, best_score = curves.best_mean_f1
        classes = [
            {
                "name": label,
                "category_id": self.category_ids[k],
                "objects": int(curves.num_objects[k]),
                "AP50": _plain(ap50[k]),
                "best_f1": {key: _plain(value) for key, value in asdict(curves.best[k]).items()},
                "precision_at_recall": _plain_list(curves.precision_at_recall[k]),
                "precision_at_score": _plain_list(curves.precision[k]),
                "recall_at_score": _plain_list(curves.recall[k]),
                "f1_at_score": _plain_list(curves.f1[k]),
            }
            for k, label in enumerate(self.labels)
        ]
        return {
            "iou_threshold": _CURVE_IOU,
            "recalls": _plain_list(RECALLS),
            "scores": _plain_list(SCORES),
            "best_mean_f1": {"score": _plain(best_score), "f1": _plain(best_f1)},
            "mean_f1_at_score": _plain_list(curves.mean_f1),
            "classes": classes,
            "confusion_matrix": {
                "score_threshold": self.confusion_thresholds.score,
                "iou_threshold": self.confusion_thresholds.iou,
                "rows": [*self.labels, "background"],
                "columns": [*self.labels, "missed"],
                "counts": self.confusion.tolist(),
            },
        }


def diagnose(
    match: Callable[..., Matches],
    detections: Detections,
    dataset: EvaluatedDataset,
    thresholds: ConfusionThresholds,
) -> Diagnosis:
    """Compute curves and confusion matrix.

    Args:
        match: the protocol, `match_as_coco` or `match_as_voc`.
        detections: what was found.
        dataset: the data set.
        thresholds: what counts in the confusion matrix.
    """
    truth, order = dataset.ground_truth, dataset.category_index_of_class
    matches = match(detections, truth, iou_threshold=_CURVE_IOU)
    curves = score_curves(matches, detections, truth)
    if thresholds.iou != _CURVE_IOU:
        matches = match(detections, truth, iou_threshold=thresholds.iou)
    counts = confusion_matrix(matches, detections, truth, score_threshold=thresholds.score)
    with_background = np.append(order, len(truth.category_ids))
    return Diagnosis(
        labels=dataset.labels,
        category_ids=list(dataset.category_ids),
        curves=curves.of_classes(order),
        confusion=counts[np.ix_(with_background, with_background)],
        confusion_thresholds=thresholds,
    )


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _plain_list(values: np.ndarray) -> list[float | None]:
    return [_plain(value) for value in values.tolist()]
