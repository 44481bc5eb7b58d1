"""Pascal VOC's average precision: Everingham et al., IJCV 88(2), 2010, and the devkits.

The devkits compute it in `VOCevaldet.m`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from yolov7.d2 import MetadataCatalog
from yolov7.evaluation.collecting import CollectingEvaluator
from yolov7.evaluation.collector import join_predictions
from yolov7.evaluation.detections import Detections
from yolov7.evaluation.diagnostics import DEFAULT_THRESHOLDS, ConfusionThresholds
from yolov7.evaluation.ground_truth import GroundTruth
from yolov7.evaluation.matching import Matches, match_as_voc
from yolov7.evaluation.report import class_table
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

_PERCENT_THRESHOLDS = range(50, 100, 5)


def eleven_point_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Compute average precision as VOC did until 2009.

    The mean, over the recalls 0, 0.1 … 1, of the highest precision with at least this recall (0
    where it is not reached).

    Args:
        precision: (n,) after each detection, by falling score.
        recall: (n,) likewise, not falling.
    """
    # 0.3, 0.6 and 0.7 come out an ulp higher than these decimals, so that a recall of 3/10 does not
    # reach the level 0.3; detectron2's numbers, and those of most papers, are computed like this.
    levels = np.arange(0.0, 1.1, 0.1)
    return float(_envelope(precision)[np.searchsorted(recall, levels, side="left")].mean())


def area_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Compute average precision as VOC does since 2010: the area under the curve.

    Precision is first made falling: the highest one with at least this recall.

    Args:
        precision: (n,) after each detection, by falling score.
        recall: (n,) likewise, not falling.
    """
    return float(np.sum(np.diff(recall, prepend=0.0) * _envelope(precision)[:-1]))


#: How VOC computes AP, by the name in `TEST.VOC_METRIC`.
VOC_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "11point": eleven_point_precision,
    "area": area_precision,
}


def average_precisions(
    matches: Matches,
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    metric: Callable[[np.ndarray, np.ndarray], float],
) -> np.ndarray:
    """Compute the average precision of each class.

    Equal scores count in the order of the images, then in the model's; the devkit leaves it open.

    Args:
        matches: VOC's matches at an IoU threshold.
        detections: the detections.
        ground_truth: the objects.
        metric: one of `VOC_METRICS`.

    Returns:
        (K,) fractions in the order of `GroundTruth.category_ids`; NaN for classes of which there
        is no object to be found.
    """
    num_classes = len(ground_truth.category_ids)
    counts = np.bincount(ground_truth.category_index[matches.is_counted], minlength=num_classes)
    rows = np.argsort(-detections.scores, kind="stable")
    rows = rows[~matches.is_ignored[rows]]
    results = np.full(num_classes, np.nan)
    for k in np.flatnonzero(counts):
        is_right = matches.is_right[rows[detections.category_index[rows] == k]]
        right = np.cumsum(is_right)
        results[k] = metric(right / np.arange(1, len(right) + 1), right / counts[k])
    return results


class VOCEvaluator(CollectingEvaluator):
    """Evaluate boxes by Pascal VOC's protocol.

    Difficult objects are neither asked for nor counted as wrong when found; see `match_as_voc`.
    Scores and boxes are not rounded (detectron2's evaluator rounds them to 0.001 and 0.1 pixels),
    and classes without objects are left out of means. All images of the data set count: one that
    the model never saw counts with no detections.
    """

    match = staticmethod(match_as_voc)

    def __init__(
        self,
        dataset_name: str,
        *,
        output_dir: str | Path | None = None,
        metric: str = "auto",
        confusion_thresholds: ConfusionThresholds = DEFAULT_THRESHOLDS,
        write_detections: bool = True,
        distributed: bool = True,
    ):
        """Set up an evaluation; the data set is read when it is first needed.

        Args:
            dataset_name, output_dir, confusion_thresholds, write_detections, distributed: see
                `CollectingEvaluator`.
            metric: `"11point"` or `"area"`; `"auto"` is the 11-point metric if the data set's
                metadata has the `year` 2007, else the area, as in detectron2.

        Raises:
            ConfigError: there is no such metric.
        """
        if metric not in ("auto", *VOC_METRICS):
            known = ("auto", *VOC_METRICS)
            raise ConfigError(f"TEST.VOC_METRIC: there is no '{metric}'.{suggest(metric, known)}")
        super().__init__(
            dataset_name,
            with_masks=False,
            output_dir=output_dir,
            confusion_thresholds=confusion_thresholds,
            write_detections=write_detections,
            distributed=distributed,
        )
        self._metric = metric

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Compute the numbers; with several ranks all must call it.

        Returns:
            `{"bbox": {"AP", "AP50", "AP75"}}` ×100, where AP is the mean over the IoU thresholds
            .50:.05:.95, followed by `"AP50-<class>"` when there is more than one class. Empty on
            ranks other than 0, and when not one image was processed.

        Raises:
            DatasetError: the annotations cannot be used, an image was evaluated twice or is not in
                the data set, or the model predicts a class that the data set does not have.
        """
        predictions = self._predictions()
        if not predictions:
            return {}
        start, dataset = time.perf_counter(), self.dataset
        detections = join_predictions(predictions, dataset)
        matches = {
            percent: self.match(detections, dataset.ground_truth, iou_threshold=percent / 100)
            for percent in _PERCENT_THRESHOLDS
        }
        name = self._metric_name()
        by_threshold = {
            percent: 100
            * average_precisions(
                matched, detections, dataset.ground_truth, metric=VOC_METRICS[name]
            )[dataset.category_index_of_class]
            for percent, matched in matches.items()
        }
        results = self._report(by_threshold, matches[50], name)
        logger.info(
            f"Evaluated {len(detections)} detections on {len(dataset.ground_truth.image_ids)} "
            f"images in {time.perf_counter() - start:.2f} s."
        )
        self._draw(detections, dataset, ap50=by_threshold[50])
        return {"bbox": results}

    def _metric_name(self) -> str:
        if self._metric != "auto":
            return self._metric
        is_2007 = str(MetadataCatalog.get(self._name).get("year", "")) == "2007"
        return "11point" if is_2007 else "area"

    def _report(
        self, by_threshold: dict[int, np.ndarray], matches: Matches, metric: str
    ) -> dict[str, float]:
        """Log the numbers and give them by name.

        Args:
            by_threshold: for each IoU threshold in percent the classes' AP ×100, in their order.
            matches: at IoU 0.5.
            metric: the name of the metric.
        """
        truth, labels = self.dataset.ground_truth, self.dataset.labels
        classes = self.dataset.category_index_of_class
        counts = np.bincount(truth.category_index[matches.is_counted], minlength=len(labels))
        ignored = np.bincount(truth.category_index[~matches.is_counted], minlength=len(labels))
        if not ignored.any():
            logger.info(
                f"No object of {self._name} is marked as difficult, so that all are asked for. "
                "(Records of detectron2's own VOC loader do not say which ones are.)"
            )
        all_thresholds = np.stack(list(by_threshold.values()))
        columns = {
            "objects": counts[classes].tolist(),
            "difficult": ignored[classes].tolist(),
            "AP": all_thresholds.mean(axis=0).tolist(),
            "AP50": by_threshold[50].tolist(),
            "AP75": by_threshold[75].tolist(),
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        logger.info(
            f"Results for bbox of {self._name} by VOC's {metric} metric:\n"
            + class_table(rows, labels)
        )
        present = ~np.isnan(all_thresholds[0])
        means = {
            key: float(np.mean(np.array(columns[key])[present])) if present.any() else np.nan
            for key in ("AP", "AP50", "AP75")
        }
        logger.info(", ".join(f"{key} {value:.2f}" for key, value in means.items()))
        if len(labels) > 1:
            by_class = zip(labels, columns["AP50"], strict=True)
            means |= {f"AP50-{label}": value for label, value in by_class}
        return means


def _envelope(precision: np.ndarray) -> np.ndarray:
    """Give the highest precision from each point on, and a 0 after the last."""
    return np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
