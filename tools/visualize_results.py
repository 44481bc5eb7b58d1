#!/usr/bin/env python
"""Draw the detections of a results file beside the ground truth, the worst images first."""

from __future__ import annotations

import argparse
from pathlib import Path

from yolov7.data import load_records
from yolov7.engine.result_pictures import JudgedImage, ResultPictures
from yolov7.engine.results import add_results_arguments, open_results
from yolov7.evaluation import ConfusionThresholds
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.visualization import Visualizer, write_picture

EPILOG = """\
RESULTS is a list of {image_id, category_id, bbox: [x, y, width, height], score}, with the ids of
the data set, as an evaluation writes it to inference/coco_instances_results.json. Masks are drawn
where it has them.

Left are the objects of the annotations, right the detections. Green: found, or right. Orange:
missed, or wrong (of another class, of nothing, or a second one of an object). Grey: does not count
(crowds, VOC's difficult objects, and detections in them). What is right is what the evaluation of
the data set counts as right, at --iou-threshold.

The worst images are those with the most errors: missed objects and wrong detections together. The
names of the files begin with their rank.

examples:
  python tools/visualize_results.py output/inference/coco_instances_results.json \\
      --config-file configs/bccd/yolox_nano.yaml --output out/worst --num 20
  python tools/visualize_results.py results.json --annotations val.json --images val/ \\
      --output out/all --order dataset --score-threshold 0.5 --num 1000
"""
MIN_SIDE = 320  # pixels; names are readable on pictures of this size


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_results_arguments(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--num", type=int, default=16, help="number of pictures (%(default)s)")
    parser.add_argument(
        "--order",
        choices=("worst", "dataset"),
        default="worst",
        help="the worst images first, or as the data set has them (%(default)s)",
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=0.3,
        help="lowest score of a detection (%(default)s)",
    )
    parser.add_argument(
        "--iou-threshold",
        type=float,
        default=0.5,
        help="IoU from which on an object is found (%(default)s)",
    )
    add_debug_argument(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.num < 1:
        raise UserError(f"--num must be at least 1, got {arguments.num}.")
    if arguments.annotations and not arguments.images:
        raise UserError("--annotations needs --images here: the folder of the images.")
    thresholds = ConfusionThresholds(score=arguments.score_threshold, iou=arguments.iou_threshold)
    opened = open_results(arguments, thresholds=thresholds)
    records = load_records([opened.dataset_name], training=False)
    dataset = opened.evaluator.dataset
    pictures = ResultPictures(
        records=records,
        dataset=dataset,
        images=opened.images,
        match=opened.evaluator.match,
        score_threshold=thresholds.score,
        iou_threshold=thresholds.iou,
        visualizer=Visualizer(dataset.labels, min_side=MIN_SIDE),
    )
    judged = pictures.judge()
    if arguments.order == "worst":
        judged.sort(key=lambda image: -image.num_errors)
    file_names = {record["image_id"]: record["file_name"] for record in records}
    chosen = judged[: arguments.num]
    for rank, image in enumerate(chosen):
        file_name = file_names[image.image_id]
        name = f"{rank:05d}_{Path(file_name).stem}.png"
        write_picture(Path(arguments.output) / name, pictures.draw(image.image_id))
        print(f"{name}  {describe(image)}  from {file_name}")
    print(f"{len(chosen)} of {len(judged)} pictures in {arguments.output}")


def describe(image: JudgedImage) -> str:
    return f"{image.num_right} found, {image.num_missed} missed, {image.num_wrong} wrong"


if __name__ == "__main__":
    run_command(main)
