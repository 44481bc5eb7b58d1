#!/usr/bin/env python
"""Convert weights of the original authors into weights of this project."""

from __future__ import annotations

import argparse

import torch

from yolov7.checkpoint import save_checkpoint
from yolov7.checkpoint.conversion import CONVERTERS, convert_weights
from yolov7.config import load_config
from yolov7.modeling import build_detector
from yolov7.utils.cli import add_debug_argument, run_command

EPILOG = """\
The config must describe the model that the weights belong to, its number of classes included:
every entry of the input is used exactly once, or the program says which one does not fit. (For DETR
and Anchor DETR classes and queries may differ; what was not converted is listed.)
A .weights file of darknet may end early (yolov4.conv.137) and fills what it has. Sources detectron2
(ResNets of its model zoo: MSRA/R-50.pkl and others) and darknet's backbones are what a training
starts from: MODEL.WEIGHTS takes the output, the other parts of the model start fresh.
Nothing in the input file is executed.

examples:
  python tools/convert_weights.py --source yolox --config-file configs/coco/yolox_s.yaml \\
      --input yolox_s.pth --output weights/yolox_s.pth
  python tools/convert_weights.py --source yolov7 --config-file configs/coco/yolov7_w6.yaml \\
      --input yolov7-w6.pt --output weights/yolov7_w6.pth MODEL.AUXILIARY_HEAD.CHANNELS "[]"
  python tools/convert_weights.py --source darknet --config-file configs/coco/yolov4.yaml \\
      --input yolov4.weights --output weights/yolov4.pth
  python tools/convert_weights.py --source detr --config-file configs/coco/detr/detr_r50.yaml \\
      --input detr-r50-e632da11.pth --output weights/detr_r50.pth
  python tools/convert_weights.py --source detectron2 \\
      --config-file configs/coco/yolof_r50_dc5.yaml --input R-50.pkl --output weights/r50_msra.pth
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", required=True, metavar="NAME", help=f"whose weights: {', '.join(CONVERTERS)}"
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the model's config")
    parser.add_argument("--input", required=True, metavar="FILE", help="the authors' weights")
    parser.add_argument("--output", required=True, metavar="FILE", help="where to write ours")
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    cfg = load_config(arguments.config_file, ["MODEL.DEVICE", "meta", *arguments.opts])
    with torch.device("meta"):
        model = build_detector(cfg)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = convert_weights(arguments.source, arguments.input, shapes)
    save_checkpoint(arguments.output, {"model": state})
    print(f"{len(state)} entries of {arguments.input} converted to {arguments.output}")
    missing = [name for name in shapes if name not in state]
    if missing:
        parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in missing))
        print(
            f"{len(missing)} entries of the model are not in it ({parts}): for a training, which "
            f"starts them fresh (MODEL.WEIGHTS {arguments.output}), not for evaluation"
        )


if __name__ == "__main__":
    run_command(main)
