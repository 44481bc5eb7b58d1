#!/usr/bin/env python
"""Print size, operations and latency of the model of a config, or of a family's models."""

from __future__ import annotations

import argparse
import json

from yolov7.analysis import (
    ModelStatistics,
    analyze_config,
    family_configs,
    markdown_table,
    measure_member,
)
from yolov7.config import load_config
from yolov7.engine.launch import choose_device
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.environment import describe_machine, machine_in_a_line

EPILOG = """\
GFLOPs are 2 x multiply-adds of convolutions and matrix products for one image of INPUT.INPUT_SIZE,
rounded up to the model's stride; norms, activations and post-processing are not counted. "Deploy"
is the model that inference uses, with batch normalisation folded and training-only parts dropped.
With --family all COCO configs of a family are laid out in a Markdown table; --repeats adds the
milliseconds of one image on MODEL.DEVICE, from pixels in memory to detections (untrained weights),
as trained and as evaluation and demo run it: medians of rounds in which both take turns.

examples:
  python tools/analyze_model.py --config-file configs/coco/yolox_s.yaml
  python tools/analyze_model.py --config-file configs/coco/yolox_nano.yaml --json \\
      INPUT.INPUT_SIZE "[320, 320]" MODEL.YOLO.CLASSES 10
  python tools/analyze_model.py --family yolov7
  python tools/analyze_model.py --family yolov7 --repeats 3 MODEL.DEVICE cpu
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--config-file", metavar="FILE", help="the config")
    models.add_argument("--family", metavar="NAME", help="such as yolov7: all its COCO configs")
    parser.add_argument(
        "--repeats", type=int, default=0, metavar="N", help="time N rounds of a family (default 0)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead")
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


def print_family(arguments: argparse.Namespace) -> None:
    """Print a family's table, or a JSON list of its models."""
    members, device = [], ""
    for name in family_configs(arguments.family):
        cfg = load_config(name, arguments.opts)
        if arguments.repeats:
            cfg.defrost()
            cfg.MODEL.DEVICE = choose_device(cfg.MODEL.DEVICE, num_gpus=1)
            device = cfg.MODEL.DEVICE.upper()
        label = name.rpartition("/")[2]
        members.append(measure_member(label, cfg, repeats=arguments.repeats))
    if arguments.json:
        print(json.dumps([member.to_dict() for member in members]))
    else:
        print(markdown_table(members, device=device))
        if arguments.repeats:
            print(f"\n{device}: {machine_in_a_line(describe_machine())}")


def main() -> None:
    arguments = parse_arguments()
    if arguments.family:
        print_family(arguments)
        return
    statistics = analyze_config(load_config(arguments.config_file, arguments.opts))
    print(json.dumps(statistics.to_dict()) if arguments.json else format_table(statistics))


if __name__ == "__main__":
    run_command(main)
