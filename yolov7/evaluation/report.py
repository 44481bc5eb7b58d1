"""From precision and recall to COCO's twelve numbers, and how they are written down."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from yolov7.evaluation.backends import PrecisionRecall

logger = logging.getLogger(__name__)

_AREAS = ("all", "small", "medium", "large")
_IOU_PLACES = {"0.50:0.95": slice(None), "0.50": slice(0, 1), "0.75": slice(5, 6)}

#: The highest score threshold that COCO's numbers are usually computed with.
HARMLESS_SCORE_THRESHOLD = 0.05


@dataclass(frozen=True)
class _Line:
    """One of the twelve: AP or AR, over which IoUs and areas, with which detection limit."""

    key: str
    is_precision: bool
    iou: str
    area: str
    limit: int


_LINES = (
    _Line("AP", True, "0.50:0.95", "all", 2),
    _Line("AP50", True, "0.50", "all", 2),
    _Line("AP75", True, "0.75", "all", 2),
    _Line("APs", True, "0.50:0.95", "small", 2),
    _Line("APm", True, "0.50:0.95", "medium", 2),
    _Line("APl", True, "0.50:0.95", "large", 2),
    _Line("AR{0}", False, "0.50:0.95", "all", 0),
    _Line("AR{1}", False, "0.50:0.95", "all", 1),
    _Line("AR{2}", False, "0.50:0.95", "all", 2),
    _Line("ARs", False, "0.50:0.95", "small", 2),
    _Line("ARm", False, "0.50:0.95", "medium", 2),
    _Line("ARl", False, "0.50:0.95", "large", 2),
)


def summarize(curves: PrecisionRecall) -> np.ndarray:
    """Compute COCO's twelve numbers in pycocotools' order, as fractions.

    AP and AR are means over IoU thresholds, recall levels and the categories that have ground
    truth. Unlike pycocotools' own summary, all of them use the limits the curves were made with,
    whichever these are.

    Returns:
        (12,) float64; −1 where no ground truth exists.
    """
    return np.array([_mean(_select(curves, line)) for line in _LINES])


def named_metrics(curves: PrecisionRecall) -> dict[str, float]:
    """Compute the twelve numbers ×100 under detectron2's names; NaN where no ground truth exists.

    Returns:
        `AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl`; the numbers in the AR
        keys are the detection limits.
    """
    keys = [line.key.format(*curves.max_detections) for line in _LINES]
    return dict(zip(keys, (_percent(value) for value in summarize(curves)), strict=True))


def class_metrics(curves: PrecisionRecall) -> list[dict[str, float]]:
    """Compute AP, AP50 and AR ×100 of each category, from the same arrays as the twelve numbers.

    Returns:
        for each category in the curves' order `{"AP", "AP50", "AR"}`; NaN without ground truth.
    """
    return [
        {
            "AP": _percent(_mean(curves.precision[:, :, k, 0, -1])),
            "AP50": _percent(_mean(curves.precision[0, :, k, 0, -1])),
            "AR": _percent(_mean(curves.recall[:, k, 0, -1])),
        }
        for k in range(curves.precision.shape[2])
    ]


def coco_lines(curves: PrecisionRecall) -> list[str]:
    """Write the twelve numbers as pycocotools does, a line each."""
    values = summarize(curves)
    return [
        " {:<18} {} @[ IoU={:<9} | area={:>6s} | maxDets={:>3d} ] = {:0.3f}".format(
            "Average Precision" if line.is_precision else "Average Recall",
            "(AP)" if line.is_precision else "(AR)",
            line.iou,
            line.area,
            curves.max_detections[line.limit],
            value,
        )
        for line, value in zip(_LINES, values, strict=True)
    ]


def copypaste_lines(results: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Write results the way detectron2 does, ready for a spreadsheet.

    Three lines a task: its name, the six names of AP, their values ×100. AR and the values of
    single classes are left out.

    Args:
        results: `{task: {metric: value}}`.
    """
    lines = []
    for task, metrics in results.items():
        main = {k: v for k, v in metrics.items() if "-" not in k and not k.startswith("AR")}
        lines += [
            f"copypaste: Task: {task}",
            "copypaste: " + ",".join(main),
            "copypaste: " + ",".join(f"{value:.4f}" for value in main.values()),
        ]
    return lines


def class_table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> str:
    """Write the numbers of each class as an aligned table.

    Args:
        rows: one mapping of column to number a class, all with the same columns; whole numbers are
            counts, NaN is shown as a dash.
        names: the classes' names.
    """
    if not rows:
        return "(no classes)"
    header = ["class", *rows[0]]
    cells = [[name, *map(_cell, row.values())] for name, row in zip(names, rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        return "  ".join((row[0].ljust(widths[0]), *numbers))

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, cells)])


def flatten_results(results: Mapping, prefix: str = "") -> dict[str, float]:
    """Flatten nested results to detectron2's keys: `{"bbox": {"AP": 40}} -> {"bbox/AP": 40}`."""
    flat: dict[str, float] = {}
    for key, value in results.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten_results(value, f"{name}/"))
        else:
            flat[name] = value
    return flat


def warn_if_threshold_changes_ap(score_threshold: float, *, key: str) -> bool:
    """Warn that detections are dropped which AP would have counted.

    AP is an area under the precision-recall curve; whatever a threshold cuts off its right end is
    lost. Up to 0.05 the loss is usual practice and small.

    Args:
        score_threshold: the model's lowest score.
        key: the config key it comes from, for the message.

    Returns:
        whether it warned.
    """
    if score_threshold <= HARMLESS_SCORE_THRESHOLD:
        return False
    logger.warning(
        f"{key} is {score_threshold:g}: detections below it are missing from the results, so that "
        f"AP and AR come out lower than the model's. Use at most {HARMLESS_SCORE_THRESHOLD} "
        "(usually 0.01 or 0.001) to evaluate, and a higher one only to draw."
    )
    return True


def _select(curves: PrecisionRecall, line: _Line) -> np.ndarray:
    array = curves.precision if line.is_precision else curves.recall
    return array[_IOU_PLACES[line.iou]][..., _AREAS.index(line.area), line.limit]


def _mean(values: np.ndarray) -> float:
    present = values[values > -1]
    return float(np.mean(present)) if present.size else -1.0


def _percent(value: float) -> float:
    return float(value * 100) if value >= 0 else math.nan


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.2f}"
