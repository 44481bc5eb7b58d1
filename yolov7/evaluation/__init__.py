"""Comparing predictions with ground truth: COCO's numbers, and the loop that gathers them."""

from yolov7.evaluation.backends import (
    Backend,
    HotcocoBackend,
    PrecisionRecall,
    PycocotoolsBackend,
    choose_backend,
)
from yolov7.evaluation.coco import COCOEvaluator
from yolov7.evaluation.inference import inference_on_dataset
from yolov7.evaluation.report import (
    class_table,
    coco_lines,
    copypaste_lines,
    flatten_results,
    named_metrics,
    summarize,
    warn_if_threshold_changes_ap,
)

__all__ = [
    "Backend",
    "COCOEvaluator",
    "HotcocoBackend",
    "PrecisionRecall",
    "PycocotoolsBackend",
    "choose_backend",
    "class_table",
    "coco_lines",
    "copypaste_lines",
    "flatten_results",
    "inference_on_dataset",
    "named_metrics",
    "summarize",
    "warn_if_threshold_changes_ap",
]
