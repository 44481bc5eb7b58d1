#!/usr/bin/env python
"""Compute anchors for a data set, and say how well they and the present ones fit."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from yolov7.analysis.anchors import (
    AnchorFit,
    compute_anchors,
    measure_anchors,
    training_sizes,
    weighted_mean,
    weighted_median,
)
from yolov7.config import load_config
from yolov7.config.edit import set_in_yaml
from yolov7.d2 import CfgNode
from yolov7.data import load_records, register_from_config
from yolov7.utils.atomic import atomic_write
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.visualization import plot_anchors

EPILOG = """\
Anchors are [width, height] in pixels at the training resolution (INPUT.INPUT_SIZE), the smallest at
the finest stride. k-means on 1 - IoU finds them, a genetic search improves their fitness; the same
seed gives the same anchors.

  mean best IoU  mean over boxes of the IoU with the best anchor of that shape
  recall         share of boxes with an anchor within --ratio by its sides: others are not learned
  fitness        mean over boxes of the side ratio to the best anchor, 0 beyond --ratio

Data sets without a config: --annotations is a json file (coco), the folder of xml files (voc) or
data.yaml (yolo), --image-root the folder of the images, --split a list of images (voc, yolo).

examples:
  python tools/compute_anchors.py --config-file configs/bccd/yolov7_tiny.yaml
  python tools/compute_anchors.py --config-file mine.yaml --picture anchors.png --write
  python tools/compute_anchors.py --format coco --annotations train.json --image-root images \\
      --num 9 --size 640 --json
"""
CENTERS = {"mean": weighted_mean, "median": weighted_median}
ENTRY_KEYS = {
    "coco": ("ANNOTATIONS", "IMAGES"),
    "voc": ("ANNOTATIONS", "IMAGES"),
    "yolo": ("DATA", "ROOT"),
}
KEYS = ("MODEL", "YOLO", "ANCHORS")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config-file", metavar="FILE", help="take DATASETS.TRAIN of this config")
    source.add_argument("--format", choices=tuple(ENTRY_KEYS), help="a data set without a config")
    parser.add_argument("--annotations", metavar="PATH", help="with --format, see below")
    parser.add_argument("--image-root", metavar="DIR", help="with --format, see below")
    parser.add_argument("--split", metavar="NAME", help="with --format voc or yolo (yolo: train)")
    parser.add_argument("--num", type=int, help="number of anchors (as the config has; else 9)")
    parser.add_argument("--levels", type=int, help="strides (as the config has; else 3)")
    parser.add_argument(
        "--size", type=int, nargs="+", metavar="PIXELS",
        help="training resolution: a side, or height and width (INPUT.INPUT_SIZE; else 640)",
    )  # fmt: skip
    parser.add_argument("--ratio", type=float, help="largest side ratio (as in the config; else 4)")
    parser.add_argument(
        "--center", choices=tuple(CENTERS), default="mean", help="of k-means' groups (%(default)s)"
    )
    parser.add_argument(
        "--generations", type=int, default=1000, help="of the genetic search (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other anchors (0)")
    parser.add_argument("--picture", metavar="PNG", help="draw boxes and anchors")
    parser.add_argument("--write", action="store_true", help="put them into the --config-file")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config"
    )
    arguments = parser.parse_args()
    if arguments.format and not arguments.annotations:
        parser.error("--format needs --annotations")
    if arguments.format and arguments.write:
        parser.error("--write needs --config-file")
    if len(arguments.size or ()) > 2:
        parser.error("--size takes one side, or height and width")
    return arguments


def choose_config(arguments: argparse.Namespace) -> CfgNode:
    """The config, or the defaults with the data set of the command line."""
    cfg = load_config(arguments.config_file, arguments.opts)
    if arguments.format:
        entry = {"NAME": "compute_anchors", "FORMAT": arguments.format}
        split = arguments.split or ("train" if arguments.format == "yolo" else None)
        paths = (arguments.annotations, arguments.image_root, split)
        keys = (*ENTRY_KEYS[arguments.format], "SPLIT")
        entry.update({key: path for key, path in zip(keys, paths, strict=True) if path})
        cfg.DATASETS.REGISTER = [entry]
        cfg.DATASETS.TRAIN = ("compute_anchors",)
        cfg.INPUT.INPUT_SIZE = [640, 640]
    if arguments.size:
        cfg.INPUT.INPUT_SIZE = [arguments.size[0], arguments.size[-1]]
    return cfg


def by_level(anchors: np.ndarray, num_levels: int) -> list[list[list[int]]]:
    """Whole pixels, at least 1, grouped as `MODEL.YOLO.ANCHORS` has them."""
    return np.maximum(anchors.round(), 1).astype(int).reshape(num_levels, -1, 2).tolist()


def flat(anchors: list[list[list[float]]]) -> np.ndarray:
    """(A, 2) of anchors grouped by level."""
    return np.array([anchor for level in anchors for anchor in level], float)


def describe(rows: dict[str, AnchorFit]) -> str:
    """Lay the measures out."""
    lines = [f"{'':10}{'mean best IoU':>15}{'recall':>10}{'fitness':>10}"]
    for name, fit in rows.items():
        lines.append(f"{name:10}{fit.mean_best_iou:15.4f}{fit.recall:10.4f}{fit.fitness:10.4f}")
    return "\n".join(lines)


def yaml_lines(anchors: list[list[list[int]]]) -> str:
    """The lines of a config."""
    levels = "\n".join(f"      - {level}" for level in anchors)
    return f"MODEL:\n  YOLO:\n    ANCHORS:\n{levels}"


def write_config(path: Path, anchors: list[list[list[int]]]) -> None:
    """Put the anchors into a config and leave the rest of the file as it is."""
    text = set_in_yaml(path.read_bytes().decode(), KEYS, anchors, source=str(path))
    with atomic_write(path) as file:
        file.write(text.encode())


def main() -> None:
    arguments = parse_arguments()
    if arguments.write and not Path(arguments.config_file).is_file():
        raise UserError(
            f"--write changes a file of yours, and there is none at {arguments.config_file}. Copy "
            "the config and give the copy's path."
        )
    cfg = choose_config(arguments)
    present = cfg.MODEL.YOLO.ANCHORS
    num_levels = arguments.levels or len(present)
    num = arguments.num or len(flat(present))
    if num < 1 or num_levels < 1 or num % num_levels:
        raise UserError(f"--num {num} anchors cannot be shared by --levels {num_levels}.")
    ratio = arguments.ratio or cfg.MODEL.ASSIGNER.MAX_ANCHOR_RATIO
    if ratio <= 1:
        raise UserError(f"--ratio must be above 1, the ratio of equal sides; got {ratio:g}.")
    register_from_config(cfg)
    records = load_records(cfg.DATASETS.TRAIN, training=True, class_names=cfg.DATASETS.CLASS_NAMES)
    sizes = training_sizes(records, cfg.INPUT.INPUT_SIZE)
    found = compute_anchors(
        sizes,
        num,
        seed=arguments.seed,
        center=CENTERS[arguments.center],
        ratio=ratio,
        generations=arguments.generations,
    )
    anchors = by_level(found, num_levels)
    rows = {
        "before": measure_anchors(sizes, flat(present), ratio=ratio),
        "after": measure_anchors(sizes, flat(anchors), ratio=ratio),
    }
    if arguments.json:
        report = {"boxes": len(sizes), "input_size": list(cfg.INPUT.INPUT_SIZE), "ratio": ratio}
        fits = {name: asdict(fit) for name, fit in rows.items()}
        print(json.dumps({**report, "anchors": anchors, **fits}))
    else:
        height, width = cfg.INPUT.INPUT_SIZE
        print(
            f"{len(sizes):,} boxes at {height} x {width} (height x width), side ratio < {ratio:g}"
        )
        print(describe(rows))
        print(yaml_lines(anchors))
    if arguments.picture:
        plot_anchors(sizes, anchors, arguments.picture)
    if arguments.write:
        write_config(Path(arguments.config_file), anchors)


if __name__ == "__main__":
    run_command(main)
