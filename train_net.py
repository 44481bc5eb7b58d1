#!/usr/bin/env python
"""Train or evaluate the model of a config.

    python train_net.py --config-file configs/digits/yolox_nano.yaml --num-gpus 0

`--help` shows all flags with examples.
"""

from __future__ import annotations

import logging
from argparse import Namespace

from yolov7.config import load_config
from yolov7.d2 import CfgNode
from yolov7.engine.arguments import default_argument_parser
from yolov7.engine.black_box import replay
from yolov7.engine.evaluate import evaluate_weights
from yolov7.engine.launch import choose_device, launch
from yolov7.engine.precision import Precision
from yolov7.engine.run_folder import exclusive_run, prepare_run
from yolov7.engine.setup import build_trainer
from yolov7.engine.trainer import TrainingStopped
from yolov7.modeling import build_detector
from yolov7.utils.cli import run_command
from yolov7.utils.logging import setup_logger

logger = logging.getLogger("yolov7.train_net")


def load(args: Namespace) -> CfgNode:
    """Read the config and decide on the device."""
    cfg = load_config(args.config_file, args.opts)
    cfg.MODEL.DEVICE = choose_device(cfg.MODEL.DEVICE, num_gpus=args.num_gpus)
    cfg.freeze()
    return cfg


def main(args: Namespace) -> int:
    """Do what the command line says, in every process of the run; return the exit code."""
    cfg = load(args)
    if args.replay:
        setup_logger()
        repeated = replay(build_detector(cfg), args.replay, Precision.from_config(cfg))
        return 0 if repeated else 1
    if args.eval_only:
        prepare_run(cfg, training=False)
        evaluate_weights(cfg, resume=args.resume)
        return 0
    with exclusive_run(cfg):
        prepare_run(cfg)
        trainer = build_trainer(cfg, resume=args.resume)
        try:
            trainer.train()
        except TrainingStopped as stopped:
            logger.info("Training %s; go on with --resume.", stopped)
            return 128 + stopped.signal_number
    return 0


def cli() -> int:
    """Parse the command line and start the processes."""
    args = default_argument_parser().parse_args()
    return launch(main, args, device=load(args).MODEL.DEVICE)


if __name__ == "__main__":
    run_command(cli)
