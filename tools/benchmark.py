#!/usr/bin/env python
"""Measure how fast a config trains, finds objects, or loads its data on this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any

from yolov7.analysis import (
    INFERENCE_VARIANTS,
    alternate,
    compare_inference,
    seconds_per_batch,
    summarize,
    synthetic_samples,
    warm_up_batches,
)
from yolov7.checkpoint import load_weights
from yolov7.config import load_config
from yolov7.d2 import CfgNode
from yolov7.data import build_train_loader
from yolov7.engine.launch import choose_device
from yolov7.engine.training_speed import TrainingSpeed, compare_with_loader
from yolov7.modeling import build_detector
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.environment import describe_machine, machine_in_a_line
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest
from yolov7.utils.seeding import seed_all

EPILOG = f"""\
tasks:
  train      one step on made-up pictures; one batch from the loader; both together, and whether
             training waits for its data. --synthetic measures the step alone: it needs no data set
  inference  pictures in memory of INPUT.INPUT_SIZE to detections, with the model in these forms:
             {", ".join(INFERENCE_VARIANTS)}
  loader     batches of DATASETS.TRAIN, augmented as in training

Alternatives are run in turn and medians are compared, so that a machine that slows down meets all
of them; still, measure on a quiet one. All pictures have one size (INPUT.MULTI_SCALE is off).
Without MODEL.WEIGHTS a model finds nothing, and inference has no detections to sort out.

examples:
  python tools/benchmark.py --task train --config-file configs/digits/yolox_nano.yaml \\
      MODEL.DEVICE cpu
  python tools/benchmark.py --task inference --config-file configs/coco/yolox_s.yaml \\
      --variants eager channels_last bf16 --batch-size 1 MODEL.DEVICE cpu
  python tools/benchmark.py --task loader --config-file configs/bccd/yolox_nano.yaml --json \\
      DATALOADER.NUM_WORKERS 4
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True, choices=list(TASKS), help="what to measure")
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config")
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="pictures at once; by default 1 for inference, SOLVER.IMS_PER_BATCH for the others",
    )
    parser.add_argument(
        "--iterations", type=positive, default=10, metavar="N", help="in a round (%(default)s)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=5, metavar="N", help="whose median counts (%(default)s)"
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        default=list(INFERENCE_VARIANTS),
        metavar="NAME",
        help="inference: forms of the model to compare, the first is the reference",
    )
    parser.add_argument("--synthetic", action="store_true", help="train: only the step")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config"
    )
    return parser.parse_args()


def positive(text: str) -> int:
    """A command-line number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def measure_training(cfg: CfgNode, arguments: argparse.Namespace) -> dict[str, Any]:
    """Step, loader and both."""
    iterations, rounds = arguments.iterations, arguments.rounds
    if not arguments.synthetic:
        return compare_with_loader(cfg, iterations=iterations, rounds=rounds)
    speed = TrainingSpeed.from_config(cfg)
    return summarize(alternate({"step": lambda: speed.seconds_per_step(iterations)[0]}, rounds))


def measure_inference(cfg: CfgNode, arguments: argparse.Namespace) -> dict[str, Any]:
    """The forms of the model that were asked for."""
    for name in arguments.variants:
        if name not in INFERENCE_VARIANTS:
            raise ConfigError(
                f"--variants: there is no '{name}'.{suggest(name, INFERENCE_VARIANTS)}"
            )
    seed_all(0)
    model = build_detector(cfg).eval()
    if cfg.MODEL.WEIGHTS:
        load_weights(model, cfg.MODEL.WEIGHTS).require_complete(cfg.MODEL.WEIGHTS)
    samples = synthetic_samples(
        cfg.SOLVER.IMS_PER_BATCH,
        tuple(cfg.INPUT.INPUT_SIZE),
        num_classes=cfg.MODEL.YOLO.CLASSES,
        num_channels=len(cfg.MODEL.PIXEL_MEAN),
    )
    return compare_inference(
        model,
        samples,
        variants=arguments.variants,
        repeats=arguments.rounds,
        calls=arguments.iterations,
    )


def measure_loader(cfg: CfgNode, arguments: argparse.Namespace) -> dict[str, Any]:
    """Batches of the training data set."""
    loader = build_train_loader(cfg, seed=0)
    warm_up = warm_up_batches(cfg.DATALOADER.NUM_WORKERS)
    needed = warm_up + arguments.iterations
    if len(loader) < needed:
        raise ConfigError(
            f"SOLVER.MAX_ITER is {len(loader)}, but {needed} batches are needed: raise it, or "
            "lower --iterations."
        )

    def measure() -> float:
        return seconds_per_batch(loader, batches=arguments.iterations, warm_up=warm_up)

    result = summarize(alternate({"loader": measure}, arguments.rounds))
    cost = loader.cost
    return {**result, "cpu_s_per_sample": cost.cpu_seconds / max(cost.samples, 1)}


TASKS = {"train": measure_training, "inference": measure_inference, "loader": measure_loader}


def format_report(result: dict[str, Any]) -> str:
    """Lay the numbers out, a row for each thing measured."""
    height, width = result["input_size"]
    batch_size = result["batch_size"]
    lines = [
        f"{result['task']}: {result['config']}, {batch_size} picture(s) of {height} x {width}, "
        f"{result['workers']} worker(s), {result['device']}",
        machine_in_a_line(result["machine"]),
        f"{'':<30}{'ms/batch':>10}{'fastest':>10}{'slowest':>10}{'images/s':>10}{'ratio':>8}",
    ]
    for name, row in result["timing"].items():
        times = "".join(
            f"{1e3 * row[key]:>10.2f}" for key in ("median_s", "fastest_s", "slowest_s")
        )
        rate = row["images_per_second"]
        lines.append(f"{name:<30}{times}{rate:>10.1f}{row['ratio']:>8.2f}")
    if "verdict" in result:
        lines.append(result["verdict"])
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments()
    cfg = load_config(arguments.config_file, arguments.opts)
    cfg.MODEL.DEVICE = choose_device(cfg.MODEL.DEVICE, num_gpus=1)
    if arguments.batch_size or arguments.task == "inference":
        cfg.SOLVER.IMS_PER_BATCH = arguments.batch_size or 1
    # Rounds with pictures of different sizes could not be compared.
    cfg.INPUT.MULTI_SCALE.ENABLED = False
    cfg.freeze()
    measured = TASKS[arguments.task](cfg, arguments)
    timing = {name: row for name, row in measured.items() if isinstance(row, dict)}
    for row in timing.values():
        row["images_per_second"] = cfg.SOLVER.IMS_PER_BATCH / row["median_s"]
    result = {
        "task": arguments.task,
        "config": arguments.config_file,
        "device": cfg.MODEL.DEVICE,
        "batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "input_size": list(cfg.INPUT.INPUT_SIZE),
        "workers": cfg.DATALOADER.NUM_WORKERS,
        "iterations": arguments.iterations,
        "rounds": arguments.rounds,
        "machine": describe_machine(),
        "timing": timing,
        **{name: value for name, value in measured.items() if name not in timing},
    }
    print(json.dumps(result) if arguments.json else format_report(result))


if __name__ == "__main__":
    run_command(main)
