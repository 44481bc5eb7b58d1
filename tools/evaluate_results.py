#!/usr/bin/env python
"""Evaluate detections that lie in a results file, without a model."""

from __future__ import annotations

import argparse
import json
import math

from yolov7.engine.results import add_results_arguments, open_results
from yolov7.evaluation import ConfusionThresholds
from yolov7.evaluation.voc import VOC_METRICS
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.utils.logging import setup_logger

EPILOG = """\
RESULTS is a list of {image_id, category_id, bbox: [x, y, width, height], score}, with the ids of
the data set and pixels of the original images, as an evaluation writes it to
inference/coco_instances_results.json. Entries may have masks: segmentation in run lengths.

Printed are COCO's twelve numbers and a table of the classes; for data sets of Pascal VOC its metric
instead. Written to --output: pr_curve.png and f1_curve.png at IoU 0.5, confusion_matrix.png at the
two thresholds, and diagnostics.json with all numbers, among them each class's score of the best F1.

examples:
  python tools/evaluate_results.py output/inference/coco_instances_results.json \\
      --config-file configs/bccd/yolox_nano.yaml --output output/curves
  python tools/evaluate_results.py results.json --annotations val.json --json
  python tools/evaluate_results.py results.json --dataset voc_2007_test --voc-metric area

exit codes: 0 done; 1 an error in the files, which names the entry; 2 wrong arguments.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_results_arguments(parser)
    parser.add_argument("--output", metavar="DIR", help="folder for curves and confusion matrix")
    parser.add_argument("--json", action="store_true", help="print the numbers as json only")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=("bbox", "segm"),
        default=[],
        help="compare boxes, masks or both; by default all that RESULTS has",
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=ConfusionThresholds().score,
        help="lowest score in the confusion matrix (%(default)s)",
    )
    parser.add_argument(
        "--iou-threshold",
        type=float,
        default=ConfusionThresholds().iou,
        help="lowest IoU of a hit in the confusion matrix (%(default)s)",
    )
    parser.add_argument(
        "--voc-metric",
        choices=("auto", *VOC_METRICS),
        default="auto",
        help="how AP is computed on data sets of Pascal VOC, see TEST.VOC_METRIC (%(default)s)",
    )
    add_debug_argument(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.output and arguments.tasks == ["segm"]:
        raise UserError("--output: curves and confusion matrix are of boxes. Add bbox to --tasks.")
    if not arguments.json:
        setup_logger()
    opened = open_results(
        arguments,
        output_dir=arguments.output,
        tasks=tuple(arguments.tasks),
        voc_metric=arguments.voc_metric,
        thresholds=ConfusionThresholds(
            score=arguments.score_threshold, iou=arguments.iou_threshold
        ),
    )
    opened.evaluator.add(opened.images)
    results = opened.evaluator.evaluate()
    if arguments.json:
        print(json.dumps({task: _without_nan(numbers) for task, numbers in results.items()}))


def _without_nan(numbers: dict[str, float]) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else value for key, value in numbers.items()}


if __name__ == "__main__":
    run_command(main)
