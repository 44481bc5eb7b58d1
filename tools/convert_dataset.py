#!/usr/bin/env python
"""Convert a data set between COCO json, Pascal VOC xml and YOLO txt, and say what is lost."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import yaml

from yolov7.config import load_config
from yolov7.d2 import CfgNode, DatasetCatalog, MetadataCatalog
from yolov7.data import register_from_config
from yolov7.data.conversion import (
    CocoWriter,
    SourceSplit,
    VocWriter,
    Writer,
    YoloWriter,
    convert_dataset,
    copy_image,
    link_image,
    read_split,
)
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.utils.safe_yaml import load_yaml

EPILOG = """\
Training needs no conversion: all three formats are read as they are (datasets/README.md).

Each SPLIT=SOURCE names a split of the output and where it comes from: the name of a data set
(built-in, or of --config-file), or an entry as DATASETS.REGISTER has it, where NAME is not needed:
  {FORMAT: coco, ANNOTATIONS: train.json, IMAGES: folder}
  {FORMAT: voc, ROOT: VOC2007, SPLIT: trainval}
  {FORMAT: yolo, DATA: data.yaml, SPLIT: train}

Written to --output, which appears when all of it is there:
  coco  annotations/SPLIT.json, images/SPLIT/
  voc   Annotations/, ImageSets/Main/SPLIT.txt, JPEGImages/
  yolo  data.yaml, images/SPLIT/, labels/SPLIT/

What the new format cannot hold is left out and counted:
  voc   crowds, masks, ids, classes without an object
  yolo  crowds, masks (but see --masks), ids, `difficult`; boxes are clipped to the image
Never carried over: COCO's info, licences, supercategories, areas and key points; VOC's pose,
truncated and parts.

examples:
  python tools/convert_dataset.py --to yolo --output out/bccd train=bccd_train val=bccd_val
  python tools/convert_dataset.py --to coco --output out/mine --images copy \\
      train="{FORMAT: voc, ROOT: data/mine, SPLIT: train}" \\
      val="{FORMAT: voc, ROOT: data/mine, SPLIT: val}" --class-names cat dog
"""
PLACERS = {"link": link_image, "copy": copy_image}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("splits", nargs="+", metavar="SPLIT=SOURCE", help="see below")
    parser.add_argument("--to", required=True, choices=("coco", "voc", "yolo"), help="new format")
    parser.add_argument("--output", required=True, metavar="DIR", help="new folder")
    parser.add_argument(
        "--images",
        choices=tuple(PLACERS),
        default="link",
        help="link to the images where they are, or copy them (%(default)s)",
    )
    parser.add_argument("--config-file", metavar="FILE", help="a config that registers data sets")
    parser.add_argument(
        "--class-names", nargs="+", default=[], metavar="NAME", help="the classes in their order"
    )
    parser.add_argument(
        "--masks",
        action="store_true",
        help="yolo: write objects whose mask is one polygon as polygons",
    )
    parser.add_argument(
        "--whole-pixels",
        action="store_true",
        help="voc: round boxes, for programs that read integers only",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as json")
    add_debug_argument(parser)
    return parser.parse_args()


def build_writer(arguments: argparse.Namespace) -> Writer:
    for flag, wanted, needed in (
        ("--masks", arguments.masks, "yolo"),
        ("--whole-pixels", arguments.whole_pixels, "voc"),
    ):
        if wanted and arguments.to != needed:
            raise UserError(f"{flag} is for --to {needed}; leave it away with {arguments.to}.")
    if arguments.to == "voc":
        return VocWriter(whole_pixels=arguments.whole_pixels)
    return YoloWriter(masks=arguments.masks) if arguments.to == "yolo" else CocoWriter()


def read_source(text: str, cfg: CfgNode, class_names: Sequence[str]) -> SourceSplit:
    """Read what SPLIT=SOURCE says; `class_names` are those of the command line, if any."""
    split, equals, source = text.partition("=")
    if not equals or not source:
        raise UserError(f"Expected SPLIT=SOURCE, like train=bccd_train, got '{text}'.")
    if not source.startswith("{"):
        return read_split(split, source, class_names=class_names)
    try:
        entry = load_yaml(source)
    except yaml.YAMLError as error:
        raise UserError(f"'{source}' is not valid YAML: {error}") from error
    name = f"--{split}"
    cfg = cfg.clone()
    cfg.DATASETS.REGISTER = [{**entry, "NAME": name}]
    register_from_config(cfg)
    try:
        return read_split(split, name, class_names=class_names)
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name)


def main() -> None:
    arguments = parse_arguments()
    writer = build_writer(arguments)
    cfg = load_config(arguments.config_file)
    if arguments.class_names:
        cfg.DATASETS.CLASS_NAMES = arguments.class_names
    register_from_config(cfg)
    splits = [read_source(text, cfg, arguments.class_names) for text in arguments.splits]
    report = convert_dataset(
        splits, arguments.output, writer=writer, place_image=PLACERS[arguments.images]
    )
    if arguments.json:
        print(json.dumps(report.state_dict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(report.lines()))


if __name__ == "__main__":
    run_command(main)
