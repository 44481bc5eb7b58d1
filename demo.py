#!/usr/bin/env python
"""Draw a trained model's detections on pictures and write them to detections.json."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from yolov7.config import load_config
from yolov7.engine.demonstration import find_images, run_demo
from yolov7.engine.predictor import Predictor
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.logging import setup_logger

EXAMPLES = """\
examples:
  a folder, on the processor:
    python demo.py --config-file configs/bccd/yolox_nano.yaml --input pictures/ --output out/ \\
        --opts MODEL.WEIGHTS output/bccd_yolox_nano/model_final.pth MODEL.DEVICE cpu
  single pictures and a pattern, surer detections only, eight at a time:
    python demo.py --config-file F --input a.jpg b.png 'more/**/*.jpg' --output out/ \\
        --confidence-threshold 0.5 --batch-size 8 --opts MODEL.WEIGHTS model.pth

OUTPUT gets a picture for each input under its own name (below its folder, where names repeat) and
detections.json:
  {"images": [{"file_name", "height", "width", "detections":
      [{"bbox": [x, y, w, h], "score", "category_id", "category_name"}]}]}
in pixels of the original picture; those with a side below 320 are drawn enlarged. Weights averaged
during training (EMA) are used where the checkpoint has them. No window is opened.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="the config the model was trained with"
    )
    parser.add_argument(
        "--input", required=True, nargs="+", metavar="PATH",
        help="pictures, folders, or quoted patterns ('**' looks into subfolders)",
    )  # fmt: skip
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder for the results, made if need be"
    )
    parser.add_argument(
        "--confidence-threshold", type=float, default=0.3, metavar="SCORE",
        help="lowest score of a detection, 0 to 1 (default: %(default)s; "
        "the config's MODEL.YOLO.CONF_THRESHOLD is for evaluation)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N",
        help="pictures predicted together (default: %(default)s); those that differ in shape are "
        "still run one after the other, so that no result depends on its neighbours",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", action="store_true",
        help="leave out pictures that cannot be read and report them, instead of stopping",
    )  # fmt: skip
    add_debug_argument(parser)
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="changes to the config; must come last. MODEL.WEIGHTS is needed here or in the config",
    )  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    args = build_parser().parse_args(arguments)
    logger: logging.Logger = setup_logger()
    cfg = load_config(args.config_file, args.opts)
    files = find_images(args.input)
    predictor = Predictor.from_config(cfg, confidence_threshold=args.confidence_threshold)
    report = run_demo(
        predictor, files, args.output, batch_size=args.batch_size, skip_bad=args.skip_bad
    )
    logger.info(
        f"{report.num_detections} detections on {len(report.images)} pictures; drawn in "
        f"{args.output}, written to {args.output}/detections.json."
    )
    if report.skipped:
        logger.warning(f"{len(report.skipped)} pictures could not be read and were skipped.")
    return 0


if __name__ == "__main__":
    run_command(main)
