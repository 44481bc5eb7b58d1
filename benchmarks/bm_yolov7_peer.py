"""Inference of our YOLOv7 against the authors' program, on the processor, in turn.

    git clone https://github.com/WongKinYiu/yolov7 /tmp/yolov7_peer
    OMP_NUM_THREADS=2 python benchmarks/bm_yolov7_peer.py --peer /tmp/yolov7_peer

Both have the same weights (theirs, converted) and the same batch, float32 in 0-1 and already
normalised. Timed is the network with decoding: from the batch to all boxes in pixels, objectness
and scores of classes of each of the 25,200 predictions of a picture of 640x640. Reading, resizing
and normalising pictures, thresholds and suppression are left out on both sides. (Ours finishes
only boxes that reach the threshold when it finds objects; here it decodes all of them, as theirs.)

Before anything is timed, boxes and scores of both must agree in every form; differences to the
authors' model as it was trained are reported, those of their own fused model, too. A ratio says how
many times as fast as that one, which their scripts run, something is. "packed" is what our
evaluation and demo run on a processor.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import CONFIGS, compare, print_rows, write_result
from peer_yolov7 import PeerYOLOv7, finder
from torch import Tensor, nn

from yolov7.analysis.inference_speed import INFERENCE_VARIANTS, InferenceVariant, inference_model
from yolov7.checkpoint.conversion import convert_yolov7
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.modeling.meta_arch import Detector
from yolov7.ops.box_ops import cxcywh_to_xyxy

MODELS = {"yolov7_tiny": "yolov7-tiny", "yolov7": "yolov7"}
"""Our configs, and the authors' files."""

OURS = {
    "ours": "eager",
    "ours, reparameterized": "reparameterized",
    "ours, reparameterized, channels_last": "reparameterized_channels_last",
    "ours, packed": "packed",
}
BF16 = {"ours, reparameterized, bf16": "reparameterized_bf16"}

Find = Callable[[Tensor], Tensor]


def our_model(name: str, theirs: nn.Module) -> Detector:
    """Our model of a config, with the authors' weights."""
    cfg = load_config(CONFIGS / f"{name}.yaml")
    cfg.MODEL.DEVICE = "cpu"
    model = build_detector(cfg).eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(convert_yolov7(theirs.state_dict(), shapes))
    return model


def our_finder(model: Detector, variant: InferenceVariant) -> Find:
    """Like `peer_yolov7.finder` of one of our forms, but for xyxy instead of cxcywh."""
    model = inference_model(model, variant)
    decode = model.postprocessor.box_coder.decode

    def find(images: Tensor) -> Tensor:
        batch = ImageList(
            images.contiguous(memory_format=variant.layout), [tuple(images.shape[-2:])]
        )
        autocast = torch.autocast("cpu", dtype=variant.dtype, enabled=variant.dtype is not None)
        with torch.inference_mode(), autocast:
            found = model.predict(batch)
            boxes = decode(found.box_deltas, *found.places())
            scores = found.objectness_logits[..., None].sigmoid(), found.class_logits.sigmoid()
            return torch.cat([boxes, *scores], dim=-1)

    return find


def their_finders(peer: PeerYOLOv7, bf16: bool) -> dict[str, Find]:
    """The authors' forms; the first one is the reference."""
    contiguous, last = torch.contiguous_format, torch.channels_last
    finders = {
        "authors, fused": finder(peer.fused(), contiguous),
        "authors": finder(peer.model, contiguous),
        "authors, fused, channels_last": finder(peer.fused(), last),
    }
    if bf16:
        finders["authors, fused, bf16"] = finder(peer.fused(), last, torch.bfloat16)
    return finders


def with_corners(theirs: Tensor) -> Tensor:
    """The authors' predictions, cxcywh first, in our form, xyxy first; float32."""
    theirs = theirs.float()
    return torch.cat([cxcywh_to_xyxy(theirs[..., :4]), theirs[..., 4:]], dim=-1)


def difference(expected: Tensor, found: Tensor) -> dict[str, float]:
    """Largest differences of boxes and of scores between predictions that begin with xyxy."""
    distance = (expected - found.float()).abs()
    return {
        "pixels": float(distance[..., :4].max()),
        "scores": float(distance[..., 4:].max()),
    }


def check(differences: dict[str, dict[str, float]]) -> None:
    """Insist that forms in float32 give the same but for rounding.

    Boxes of the largest anchors are up to 1,836 pixels wide, and folded weights are rounded once
    more: the authors' fused model differs from their own by tenths of a pixel.

    Raises:
        AssertionError: boxes differ by more than a pixel, or scores by more than 1e-3.
    """
    for name, found in differences.items():
        if "bf16" not in name:
            assert found["pixels"] < 1 and found["scores"] < 1e-3, (name, found)


def measure(name: str, folder: Path, *, side: int, rounds: int) -> dict[str, Any]:
    """Agreement and times of all forms of one model."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, side, side)
    peer = PeerYOLOv7(folder, MODELS[name], images)
    model = our_model(name, peer.model)
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    theirs = their_finders(peer, bf16)
    forms = OURS | BF16 if bf16 else OURS
    ours = {row: our_finder(model, INFERENCE_VARIANTS[form]) for row, form in forms.items()}
    expected = with_corners(theirs["authors"](images))
    found = {row: with_corners(find(images)) for row, find in theirs.items()}
    found |= {row: find(images) for row, find in ours.items()}
    differences = {row: difference(expected, predictions) for row, predictions in found.items()}
    check(differences)
    calls = {row: (lambda find=find: find(images)) for row, find in (theirs | ours).items()}
    return {"largest_difference": differences, "inference": compare(calls, rounds)}


def main() -> None:
    """Measure, print ratios, write `results/yolov7_peer.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, required=True, help="the authors' repository")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--side", type=int, default=640, help="of the picture (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (%(default)s)")
    parser.add_argument("--name", default="yolov7_peer", help="name of the file under results/")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    side, rounds = arguments.side, arguments.rounds
    result: dict[str, Any] = {"case": {"side": side, "batch_size": 1}}
    started = time.perf_counter()
    for name in arguments.models:
        result[name] = measure(name, arguments.peer, side=side, rounds=rounds)
    result["seconds_in_all"] = time.perf_counter() - started
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for name in arguments.models:
        print_rows(name, result[name])
    print(f"{result['seconds_in_all']:.0f} s in all; written to {file}")


if __name__ == "__main__":
    main()
