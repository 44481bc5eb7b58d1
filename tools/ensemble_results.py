#!/usr/bin/env python
"""Join the results files of several models into one, by boxes fusion or suppression."""

from __future__ import annotations

import argparse

from yolov7.engine.results import add_dataset_arguments, dataset_of_arguments
from yolov7.evaluation import ENSEMBLE_KINDS, ensemble, load_evaluated_dataset
from yolov7.evaluation.results_file import ResultsFile, write_results
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.utils.logging import setup_logger

EPILOG = """\
RESULTS are lists of {image_id, category_id, bbox: [x, y, width, height], score} of the same data
set, as evaluations write them to inference/coco_instances_results.json: of several models, or of
one model at several sizes. The data set says which ids there are; an entry that does not fit is an
error that names it. --output has the same format, for evaluate_results.py.

kinds:
  wbf   weighted boxes fusion. Detections of a class that overlap become one: the mean of their
        boxes, weighted by score, and the mean of their scores, divided further when fewer models
        than there are have found it. Usually the best of the three.
  nms   of detections that overlap the best stays, as it is. --weights multiply the scores.
  soft  what overlaps a better detection loses score and stays (Gaussian, which needs no
        --iou-threshold). --weights multiply the scores.

Scores of the models should mean the same: a model that is surer of itself wins. --weights can
balance that, best found on data that nothing is reported on. For wbf let evaluations keep weak
detections (MODEL.YOLO.CONF_THRESHOLD 0.01 or below): those that agree with others count.
wbf also averages detections of one file that overlap by more, which costs AP: let --iou-threshold
be no lower than the threshold that the models' own suppression had (MODEL.YOLO.NMS_THRESHOLD).
Masks are kept by nms and soft; wbf knows boxes only.

examples:
  python tools/ensemble_results.py a/inference/coco_instances_results.json \\
      b/inference/coco_instances_results.json --config-file configs/bccd/yolox_nano.yaml \\
      --output out/both.json
  python tools/ensemble_results.py a.json b.json c.json --weights 2 1 1 --iou-threshold 0.6 \\
      --annotations val.json --output abc.json
  python tools/evaluate_results.py abc.json --annotations val.json

exit codes: 0 done; 1 an error in the files, which names the entry; 2 wrong arguments.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULTS", help="json files in COCO's results format"
    )
    add_dataset_arguments(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="the json file to write")
    parser.add_argument(
        "--kind", choices=tuple(ENSEMBLE_KINDS), default="wbf", help="see below (%(default)s)"
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        default=[],
        metavar="W",
        help="how much each file counts, in their order; by default all count alike",
    )
    parser.add_argument(
        "--iou-threshold",
        type=float,
        default=0.55,
        help="IoU above which two detections are of one object (%(default)s)",
    )
    parser.add_argument(
        "--max-detections", type=int, default=100, help="most of an image (%(default)s)"
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=0.0,
        help="leave out lower scores of the result (%(default)s)",
    )
    parser.add_argument("--boxes-only", action="store_true", help="leave masks out")
    add_debug_argument(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    setup_logger()
    repeated = {file for file in arguments.results if arguments.results.count(file) > 1}
    if repeated:
        raise UserError(
            f"{sorted(repeated)[0]} is given twice. To let a file count more, use --weights."
        )
    files = [ResultsFile.read(path) for path in arguments.results]
    if arguments.boxes_only:
        files = [file.without_masks() for file in files]
    dataset = load_evaluated_dataset(dataset_of_arguments(arguments), with_masks=False)
    images = ensemble(
        files,
        dataset,
        kind=arguments.kind,
        weights=arguments.weights,
        iou_threshold=arguments.iou_threshold,
        max_detections=arguments.max_detections,
        score_threshold=arguments.score_threshold,
    )
    write_results(arguments.output, images, category_ids=dataset.category_ids)
    for file in files:
        seen = len({row["image_id"] for row in file.rows})
        print(f"{file.path}: {len(file.rows)} detections in {seen} of {len(images)} images")
    print(f"{arguments.output}: {sum(len(image.scores) for image in images)} detections")


if __name__ == "__main__":
    run_command(main)
