"""The evaluator of a data set, chosen by its metadata."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yolov7.d2 import MetadataCatalog
from yolov7.evaluation.coco import COCOEvaluator
from yolov7.evaluation.diagnostics import DEFAULT_THRESHOLDS, ConfusionThresholds
from yolov7.evaluation.voc import VOCEvaluator
from yolov7.utils.errors import DatasetError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

Evaluator = COCOEvaluator | VOCEvaluator


def build_evaluator(
    dataset_name: str,
    *,
    output_dir: str | Path | None,
    tasks: Sequence[str],
    voc_metric: str = "auto",
    confusion_thresholds: ConfusionThresholds = DEFAULT_THRESHOLDS,
    write_detections: bool = True,
) -> Evaluator:
    """Make the evaluator that the metadata's `evaluator_type` asks for; COCO's if it is silent.

    Args:
        dataset_name: a registered data set.
        output_dir: see the evaluators.
        tasks: `"bbox"`, `"segm"` or both; VOC's evaluation knows boxes only.
        voc_metric: see `VOCEvaluator`.
        confusion_thresholds: what counts in the confusion matrix.
        write_detections: write the detections into `output_dir` too.

    Raises:
        DatasetError: there is no such evaluator.
        ConfigError: there is no such metric.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", "coco")
    if kind not in _EVALUATORS:
        raise DatasetError(
            f"Data set '{dataset_name}' asks for the evaluator '{kind}' (evaluator_type in its "
            f"metadata), which does not exist.{suggest(str(kind), _EVALUATORS)}"
        )
    return _EVALUATORS[kind](
        dataset_name,
        tasks=tasks,
        voc_metric=voc_metric,
        output_dir=output_dir,
        confusion_thresholds=confusion_thresholds,
        write_detections=write_detections,
    )


def _coco(
    dataset_name: str, *, tasks: Sequence[str], voc_metric: str, **settings: Any
) -> COCOEvaluator:
    return COCOEvaluator(dataset_name, tasks=tasks, **settings)


def _voc(
    dataset_name: str, *, tasks: Sequence[str], voc_metric: str, **settings: Any
) -> VOCEvaluator:
    if "segm" in tasks:
        logger.warning(f"{dataset_name}: VOC's evaluation is of boxes; masks are not compared.")
    return VOCEvaluator(dataset_name, metric=voc_metric, **settings)


# detectron2 calls VOC's evaluator "pascal_voc".
_EVALUATORS: dict[str, Callable[..., Evaluator]] = {
    "coco": _coco,
    "voc": _voc,
    "pascal_voc": _voc,
}
