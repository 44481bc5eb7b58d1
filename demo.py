#!/usr/bin/env python
"""Draw a trained model's detections on pictures and videos, and write them down as JSON."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from yolov7.config import is_lazy_config, load_config
from yolov7.engine.demo_inputs import find_inputs
from yolov7.engine.demonstration import run_demo
from yolov7.engine.lazy_predictor import predictor_from_lazy_config
from yolov7.engine.predictor import Predictor
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.interrupt import stop_on_signals
from yolov7.utils.logging import setup_logger

EXAMPLES = """\
examples:
  a folder, on the processor:
    python demo.py --config-file configs/bccd/yolox_nano.yaml --input pictures/ --output out/ \\
        --opts MODEL.WEIGHTS output/bccd_yolox_nano/model_final.pth MODEL.DEVICE cpu
  pictures, a video and a pattern, surer detections only, eight at a time:
    python demo.py --config-file F --input a.jpg film.mp4 'more/**/*.jpg' --output out/ \\
        --confidence-threshold 0.5 --batch-size 8 --opts MODEL.WEIGHTS model.pth
  the first camera, until Ctrl-C; a stream:
    python demo.py --config-file F --webcam --output out/ --opts MODEL.WEIGHTS model.pth
    python demo.py --config-file F --input rtsp://HOST/PATH --output out/ --opts …

OUTPUT gets a picture or video for each input under its own name (below its folder, where names
repeat) and detections.json:
  {"images": [{"file_name", "height", "width", "detections":
      [{"bbox": [x, y, w, h], "score", "category_id", "category_name"}]}], "videos": [{…}]}
in pixels of the original; pictures with a side below 320 are drawn enlarged. Videos are written as
mp4 of the same size, frame rate and number of frames. Beside each lies NAME.jsonl, a line a frame:
  {"frame", "time" (seconds), "readable", "detections": [as above]}
A frame that cannot be decoded is black there and not "readable". Weights averaged during training
(EMA) are used where the checkpoint has them. Ctrl-C ends in good order: what is done is written.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config-file", required=True, metavar="FILE",
        help="the config the model was trained with: YAML, or a LazyConfig (.py: a program that is "
        "run, so only one you trust; see docs/getting_started.md)",
    )  # fmt: skip
    parser.add_argument(
        "--input", nargs="+", default=[], metavar="PATH",
        help="pictures, videos, folders, quoted patterns ('**' looks into subfolders), URLs of "
        "streams, numbers of cameras",
    )  # fmt: skip
    parser.add_argument(
        "--webcam", type=int, nargs="?", const=0, metavar="NUMBER",
        help="a camera, by its number (0)",
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
        help="pictures or frames predicted together (default: %(default)s); those that differ in "
        "shape are still run one after the other, so that no result depends on its neighbours",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", action="store_true",
        help="leave out what cannot be read and report it, instead of stopping",
    )  # fmt: skip
    parser.add_argument(
        "--show", action="store_true",
        help="show videos in a window while they are made (not with opencv-python-headless)",
    )  # fmt: skip
    add_debug_argument(parser)
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="changes to the config; must come last. MODEL.WEIGHTS is needed here or in the config "
        "(a LazyConfig: KEY=VALUE, and train.init_checkpoint)",
    )  # fmt: skip
    return parser


def build_predictor(config: str, opts: Sequence[str], threshold: float) -> Predictor:
    """Build the model of a YAML config or of a LazyConfig."""
    if is_lazy_config(config):
        return predictor_from_lazy_config(config, opts, confidence_threshold=threshold)
    return Predictor.from_config(load_config(config, opts), confidence_threshold=threshold)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if not args.input and args.webcam is None:
        parser.error("--input or --webcam is needed: what should be looked at?")
    logger: logging.Logger = setup_logger()
    inputs = find_inputs(args.input, [] if args.webcam is None else [args.webcam])
    predictor = build_predictor(args.config_file, args.opts, args.confidence_threshold)
    with stop_on_signals() as stop:
        report = run_demo(
            predictor, inputs, args.output,
            batch_size=args.batch_size, skip_bad=args.skip_bad, show=args.show, stop=stop,
        )  # fmt: skip
    on = [f"{len(report.images)} pictures"] if report.images else []
    on += [f"{video['num_frames']} frames of {video['file_name']}" for video in report.videos]
    logger.info(
        f"{report.num_detections} detections on {', '.join(on) or 'nothing'}; drawn in "
        f"{args.output}, written to {args.output}/detections.json."
    )
    if report.skipped:
        logger.warning(f"{len(report.skipped)} inputs could not be read and were skipped.")
    if stop.requested:
        logger.warning("Stopped by a signal: what was done until then is complete.")
        return 128 + stop.signal_number
    return 0


if __name__ == "__main__":
    run_command(main)
