#!/usr/bin/env python
"""Print parameters and floating-point operations of the model that a config describes."""

from __future__ import annotations

import argparse
import json

from yolov7.analysis import ModelStatistics, analyze_config
from yolov7.config import load_config
from yolov7.utils.cli import add_debug_argument, run_command

EPILOG = """\
GFLOPs are 2 x multiply-adds of convolutions and matrix products for one image of INPUT.INPUT_SIZE,
rounded up to the model's stride; norms, activations and post-processing are not counted. "Deploy"
is the model that inference uses, with batch normalisation folded and training-only parts dropped.

examples:
  python tools/analyze_model.py --config-file configs/coco/yolox_s.yaml
  python tools/analyze_model.py --config-file configs/coco/yolox_nano.yaml --json \\
      INPUT.INPUT_SIZE "[320, 320]" MODEL.YOLO.CLASSES 10
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config"
    )
    return parser.parse_args()


def format_table(statistics: ModelStatistics) -> str:
    """Lay the numbers out, a row per part and one for all."""
    height, width = statistics.input_size
    lines = [
        f"one image of {height} x {width} (height x width)",
        f"{'part':<16}{'parameters':>14}{'deploy':>14}{'GFLOPs':>12}{'deploy':>12}",
    ]
    rows = [(part.name, part) for part in statistics.parts] + [("all", statistics)]
    lines += [
        f"{name:<16}{row.parameters:>14,}{row.parameters_deploy:>14,}"
        f"{row.gflops:>12.4f}{row.gflops_deploy:>12.4f}"
        for name, row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments()
    statistics = analyze_config(load_config(arguments.config_file, arguments.opts))
    print(json.dumps(statistics.to_dict()) if arguments.json else format_table(statistics))


if __name__ == "__main__":
    run_command(main)
