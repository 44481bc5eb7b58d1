"""Comparing predictions with ground truth: COCO's and VOC's numbers, and how they come about."""

from yolov7.evaluation.backends import (
    Backend,
    HotcocoBackend,
    PrecisionRecall,
    PycocotoolsBackend,
    choose_backend,
)
from yolov7.evaluation.build import Evaluator, build_evaluator
from yolov7.evaluation.coco import COCOEvaluator
from yolov7.evaluation.confusion import confusion_matrix
from yolov7.evaluation.curves import BestF1, ScoreCurves, score_curves
from yolov7.evaluation.dataset import (
    EvaluatedDataset,
    load_evaluated_dataset,
)
from yolov7.evaluation.detections import Detections, ImageDetections
from yolov7.evaluation.diagnostics import ConfusionThresholds, Diagnosis, diagnose
from yolov7.evaluation.ensemble import ENSEMBLE_KINDS, ensemble
from yolov7.evaluation.ground_truth import GroundTruth
from yolov7.evaluation.inference import inference_on_dataset
from yolov7.evaluation.matching import Matches, match_as_coco, match_as_voc
from yolov7.evaluation.report import (
    class_table,
    coco_lines,
    copypaste_lines,
    flatten_results,
    named_metrics,
    summarize,
    warn_if_threshold_changes_ap,
)
from yolov7.evaluation.results_file import ResultsFile, write_results
from yolov7.evaluation.voc import VOCEvaluator

__all__ = [
    "ENSEMBLE_KINDS",
    "Backend",
    "BestF1",
    "COCOEvaluator",
    "ConfusionThresholds",
    "Detections",
    "Diagnosis",
    "EvaluatedDataset",
    "Evaluator",
    "GroundTruth",
    "HotcocoBackend",
    "ImageDetections",
    "Matches",
    "PrecisionRecall",
    "PycocotoolsBackend",
    "ResultsFile",
    "ScoreCurves",
    "VOCEvaluator",
    "build_evaluator",
    "choose_backend",
    "class_table",
    "coco_lines",
    "confusion_matrix",
    "copypaste_lines",
    "diagnose",
    "ensemble",
    "flatten_results",
    "inference_on_dataset",
    "load_evaluated_dataset",
    "match_as_coco",
    "match_as_voc",
    "named_metrics",
    "score_curves",
    "summarize",
    "warn_if_threshold_changes_ap",
    "write_results",
]
