"""Our DETR with ResNet-50 against the authors' program, on the processor, in turn.

    git clone https://github.com/facebookresearch/detr /tmp/detr_peer
    OMP_NUM_THREADS=2 python benchmarks/bm_detr_peer.py --peer /tmp/detr_peer

Both get the same weights (theirs, converted; 91 classes), pictures and objects: one picture of
800x1066, and two of 800x1066 and 704x938 that share a padded batch. Before anything is timed, all
losses (without dropout) and all detections must agree. A training step is forward, losses,
backward, clipping and AdamW, with dropout, as each program's trainer does it; ours also normalises
the pictures, which theirs are given normalised. Inference is from a picture in memory to boxes in
its pixels. A ratio says how many times as fast as the authors' program something is; "packed" is
what our evaluation and demo run on a processor.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import CONFIGS, alternate, compare, print_rows, summarize, write_result
from peer_detr import PeerDETR, authors_images, authors_targets

from yolov7.analysis import INFERENCE_VARIANTS, inference_function, synthetic_samples
from yolov7.checkpoint.conversion import convert_detr
from yolov7.config import load_config
from yolov7.d2 import CfgNode
from yolov7.engine.training_speed import TrainingSpeed
from yolov7.modeling import build_detector
from yolov7.modeling.meta_arch import Detector

SIZES = [(800, 1066), (704, 938)]
OBJECTS = 7
FORMS = {
    "ours": "eager",
    "ours, reparameterized": "reparameterized",
    "ours, reparameterized, channels_last": "reparameterized_channels_last",
    "ours, packed": "packed",
}

Samples = list[dict[str, Any]]


def our_config(batch_size: int) -> CfgNode:
    """The recipe for COCO with the authors' 91 classes, on the CPU."""
    cfg = load_config(CONFIGS / "detr" / "detr_r50.yaml")
    cfg.MODEL.DEVICE, cfg.MODEL.YOLO.CLASSES = "cpu", 91
    cfg.MODEL.BACKBONE.PRETRAINED = False
    cfg.SOLVER.IMS_PER_BATCH = batch_size
    return cfg


def load_theirs(model: Detector, peer: PeerDETR) -> Detector:
    """Give our model the authors' weights."""
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict(convert_detr(peer.model.state_dict(), shapes))
    return model


def make_samples(batch_size: int) -> Samples:
    """So many pictures of noise, of different sizes, with objects."""
    return [
        sample
        for seed, size in enumerate(SIZES[:batch_size])
        for sample in synthetic_samples(1, size, num_classes=91, num_objects=OBJECTS, seed=seed)
    ]


def check_losses(peer: PeerDETR, model: Detector, samples: Samples) -> dict[str, Any]:
    """Insist that both programs give the same losses without dropout.

    Raises:
        AssertionError: a loss differs by more than 1e-4 of its value.
    """
    names = {"loss_ce": "loss_class", "loss_bbox": "loss_l1", "loss_giou": "loss_box"}
    peer.model.eval()
    with torch.no_grad():
        theirs = peer.losses(authors_images(samples), authors_targets(samples))
        ours = model.eval().losses(samples)
    differences = {}
    for name, expected in theirs.items():
        kind = next(kind for kind in names if name.startswith(kind))
        found = ours[name.replace(kind, names[kind])].item()
        np.testing.assert_allclose(found, expected.item(), rtol=1e-4)
        differences[name] = abs(found - expected.item())
    assert len(theirs) == len(ours)
    return {
        "total": float(sum(theirs.values())),
        "largest_difference_of_losses": max(differences.values()),
    }


def check_detections(theirs: list[dict], ours: list[dict]) -> dict[str, float]:
    """Insist that both programs find the same with every query.

    Raises:
        AssertionError: a score differs by more than 1e-4, or an edge by more than 0.1 pixels.
    """
    pixels = scores = 0.0
    for expected, output in zip(theirs, ours, strict=True):
        found = output["instances"]
        np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-4)
        np.testing.assert_allclose(found.pred_boxes.tensor, expected["boxes"], atol=0.1)
        # Two classes may be equally likely but for the rounding; they are compared by score.
        scores = max(scores, float((found.scores - expected["scores"]).abs().max()))
        pixels = max(pixels, float((found.pred_boxes.tensor - expected["boxes"]).abs().max()))
    return {"largest_difference_of_scores": scores, "largest_difference_of_pixels": pixels}


def measure_training(peer: PeerDETR, samples: Samples, *, rounds: int) -> dict[str, Any]:
    """Steps on a batch in memory."""
    images, targets = authors_images(samples), authors_targets(samples)
    speeds = {}
    for name, layout in (("ours", "contiguous"), ("ours, channels_last", "channels_last")):
        cfg = our_config(len(samples))
        cfg.MODEL.MEMORY_FORMAT = layout
        speeds[name] = TrainingSpeed.from_config(cfg)
        load_theirs(speeds[name].trainer.model, peer)
    losses = check_losses(peer, load_theirs(build_detector(our_config(1)), peer), samples)
    peer.start_training()

    def theirs() -> float:
        start = time.perf_counter()
        peer.step(images, targets)
        return time.perf_counter() - start

    def ours(speed: TrainingSpeed) -> Callable[[], float]:
        batches = [samples]
        return lambda: speed.seconds_per_step(1, batches=batches, warm_up=0)[0]

    rows = {"authors": theirs, **{name: ours(speed) for name, speed in speeds.items()}}
    return {"losses": losses, "step": summarize(alternate(rows, rounds))}


def measure_inference(peer: PeerDETR, samples: Samples, *, rounds: int) -> dict[str, Any]:
    """From pictures in memory to detections."""
    images = authors_images(samples)
    model = load_theirs(build_detector(our_config(1)), peer).eval()
    forms = dict(FORMS)
    theirs: dict[str, Callable[[], list]] = {"authors": lambda: peer.detect(images)}
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        forms["ours, reparameterized, bf16"] = "reparameterized_bf16"
        theirs["authors, bf16"] = lambda: peer.detect(images, dtype=torch.bfloat16)
    functions = {
        row: inference_function(model, INFERENCE_VARIANTS[form]) for row, form in forms.items()
    }
    expected = peer.detect(images)
    agreement = {
        row: check_detections(expected, detect(samples))
        for row, detect in functions.items()
        if "bf16" not in row
    }
    ours = {row: (lambda detect=detect: detect(samples)) for row, detect in functions.items()}
    return {"agreement": agreement, "detect": compare({**theirs, **ours}, rounds)}


PARTS = {"inference": measure_inference, "training": measure_training}


def main() -> None:
    """Measure, print ratios, write `results/detr_peer.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, required=True, help="the authors' repository")
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all"
    )
    parser.add_argument(
        "--batches", nargs="+", type=int, choices=(1, 2), default=[1, 2], help="default: 1 2"
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (%(default)s)")
    parser.add_argument("--name", default="detr_peer", help="name of the file under results/")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"case": {"sizes": SIZES, "objects": OBJECTS, "classes": 91}}
    started = time.perf_counter()
    torch.manual_seed(0)
    for batch_size in arguments.batches:
        samples = make_samples(batch_size)
        result[f"batch_{batch_size}"] = {
            # Each part starts from fresh weights of the authors' program.
            part: PARTS[part](PeerDETR(arguments.peer), samples, rounds=arguments.rounds)
            for part in arguments.parts
        }
    result["seconds_in_all"] = time.perf_counter() - started
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for batch_size in arguments.batches:
        print_rows(f"batch of {batch_size}", result[f"batch_{batch_size}"])
    print(f"{result['seconds_in_all']:.0f} s in all; written to {file}")


if __name__ == "__main__":
    main()
