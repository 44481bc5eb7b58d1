#!/usr/bin/env python
"""Train a detector in one plain loop: the parts of the framework without its trainer and hooks.

    python tools/plain_train.py --config-file configs/digits/yolox_nano.yaml MODEL.DEVICE cpu

To read and to change: the whole training is in `train`, top to bottom, for one process. It has
the learning rate schedule, averaged weights, mixed precision, clipping, the last phase, a log line,
checkpoints and evaluation. `train_net.py` has the rest: several GPUs, resuming, signals, the record
of a bad loss, TensorBoard and pictures.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import torch
from torch import nn

from yolov7.checkpoint import save_checkpoint
from yolov7.config import load_config
from yolov7.d2 import CfgNode, EventStorage
from yolov7.data import build_train_loader
from yolov7.engine.ema import ModelEMA
from yolov7.engine.evaluate import inference_copy, memory_format, run_evaluation
from yolov7.engine.initial_weights import load_initial_weights
from yolov7.engine.launch import choose_device
from yolov7.engine.precision import Precision
from yolov7.modeling import build_detector
from yolov7.solver import (
    build_gradient_clipper,
    build_lr_scheduler,
    build_momentum_schedule,
    build_optimizer,
    set_momentum,
)
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import UserError
from yolov7.utils.logging import setup_logger
from yolov7.utils.seeding import seed_all

logger = logging.getLogger("yolov7.plain_train")


def train(cfg: CfgNode) -> nn.Module:
    """Train the model of a config and return the weights to use."""
    seed = max(cfg.SEED, 0)
    seed_all(seed)

    # The parts. A batch is a list of samples, the same ones for the same seed and iteration.
    loader = build_train_loader(cfg, seed=seed)
    model = build_detector(cfg).to(memory_format=memory_format(cfg))
    load_initial_weights(cfg, model)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    momentum = build_momentum_schedule(cfg)
    clip_gradients = build_gradient_clipper(cfg)
    precision = Precision.from_config(cfg)
    ema = None
    if cfg.SOLVER.EMA.ENABLED:
        ema = ModelEMA(model, decay=cfg.SOLVER.EMA.DECAY, tau=cfg.SOLVER.EMA.TAU)
    last_phase = cfg.SOLVER.MAX_ITER - cfg.SOLVER.LAST_PHASE_ITERS

    model.train()
    for iteration, batch in enumerate(loader):
        started = time.perf_counter()
        if iteration == last_phase:
            # The loader has switched Mosaic and MixUp off at the same iteration.
            model.criterion.loss_weights["loss_l1"] = cfg.MODEL.CRITERION.L1_WEIGHT

        if momentum is not None:
            set_momentum(optimizer, momentum(iteration))

        # Forward: a dict of losses, each already weighted. Their sum is what is minimised.
        with precision.autocast():
            losses = model(batch)
        total = sum(losses.values())
        if not torch.isfinite(total):
            raise UserError(f"The loss of iteration {iteration} is not finite: {numbers(losses)}")

        # Backward. The scaler does something for float16 only.
        optimizer.zero_grad(set_to_none=True)
        precision.scaler.scale(total).backward()
        if clip_gradients is not None:
            precision.scaler.unscale_(optimizer)
            clip_gradients(model.parameters())
        precision.scaler.step(optimizer)
        precision.scaler.update()
        if ema is not None:
            ema.update()

        if iteration % cfg.SOLVER.LOG_PERIOD == 0:
            rate = optimizer.param_groups[0]["lr"]
            seconds = time.perf_counter() - started
            logger.info(
                "%6d  loss %.3f  %s  lr %.3g  %.3f s",
                iteration, float(total), numbers(losses), rate, seconds,
            )  # fmt: skip
        # Iteration i runs with the rate of i, so the schedule moves on after the step.
        scheduler.step()

        if cfg.SOLVER.CHECKPOINT_PERIOD and (iteration + 1) % cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            save(cfg, model, ema)

    save(cfg, model, ema)
    return model if ema is None else ema.model


def save(cfg: CfgNode, model: nn.Module, ema: ModelEMA | None) -> None:
    """Write the weights where evaluation and demo find them."""
    checkpoint = {"model": model.state_dict(), "ema": None if ema is None else ema.state_dict()}
    save_checkpoint(Path(cfg.OUTPUT_DIR) / "model_final.pth", checkpoint)


def numbers(losses: dict[str, torch.Tensor]) -> str:
    """Write losses for people."""
    return "  ".join(f"{name.removeprefix('loss_')} {float(x):.3f}" for name, x in losses.items())


def main() -> int:
    """Parse the command line, train, evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a YAML config")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    add_debug_argument(parser)
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs; last")
    args = parser.parse_args()

    cfg = load_config(args.config_file, args.opts)
    cfg.MODEL.DEVICE = choose_device(cfg.MODEL.DEVICE, num_gpus=1)
    cfg.freeze()
    setup_logger(cfg.OUTPUT_DIR)
    # Parts of the model may log numbers of their own into a storage.
    with EventStorage():
        model = train(cfg)
    results = run_evaluation(cfg, inference_copy(cfg, model)) if cfg.DATASETS.TEST else {}
    if args.json:
        print(json.dumps(results))
    return 0


if __name__ == "__main__":
    run_command(main)
