"""The authors' YOLOv7 state dicts by rule: their names, shapes, and values made of both.

Nothing here knows this project's names or layers; see README.md.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch

LAYERS = json.loads((Path(__file__).parent / "yolov7_layers.json").read_text(encoding="utf-8"))
OUTPUTS = json.loads((Path(__file__).parent / "yolov7_outputs.json").read_text(encoding="utf-8"))
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def state_shapes(model: str, *, classes: int = 80, deploy: bool = False) -> dict[str, tuple]:
    """{name: shape} of a whole state dict of the training graph, or of the deployed one."""
    shapes: dict[str, tuple] = {}

    def conv(prefix: str, before: int, after: int, side: int, names: str = "conv bn") -> None:
        weight, norm = names.split()
        shapes[f"{prefix}.{weight}.weight"] = (after, before, side, side)
        for entry in BATCH_NORM:
            shapes[f"{prefix}.{norm}.{entry}"] = () if "num" in entry else (after,)

    *layers, detect = LAYERS[model]
    auxiliary = len(detect) > 3
    if auxiliary and deploy:
        layers = layers[: -len(detect[3])]
    for number, kind, *sizes in layers:
        before, after = sizes[:2]
        name = f"model.{number}"
        if kind == "Conv":
            conv(name, before, after, sizes[2])
        elif kind == "RepConv":
            conv(f"{name}.rbr_dense", before, after, 3, "0 1")
            conv(f"{name}.rbr_1x1", before, after, 1, "0 1")
        elif kind == "DownC":
            conv(f"{name}.cv1", before, before, 1)
            conv(f"{name}.cv2", before, after // 2, 3)
            conv(f"{name}.cv3", before, after // 2, 1)
        elif kind == "SPPCSPC":
            widths = [before, before, after, after, 4 * after, after, 2 * after]
            for part, (width, side) in enumerate(zip(widths, (1, 1, 3, 1, 1, 3, 1), strict=True)):
                conv(f"{name}.cv{part + 1}", width, after, side)
    lead, outputs = detect[2], 3 * (classes + 5)
    name = f"model.{detect[0] - (len(lead) if auxiliary and deploy else 0)}"
    shapes[f"{name}.anchors"] = (len(lead), 3, 2)
    shapes[f"{name}.anchor_grid"] = (len(lead), 1, 3, 1, 1, 2)
    heads = {"m": lead} if deploy or not auxiliary else {"m": lead, "m2": detect[3]}
    for head, widths in heads.items():
        for level, width in enumerate(widths):
            shapes[f"{name}.{head}.{level}.weight"] = (outputs, width, 1, 1)
            shapes[f"{name}.{head}.{level}.bias"] = (outputs,)
    if not deploy:
        for level, width in enumerate(lead):
            shapes[f"{name}.ia.{level}.implicit"] = (1, width, 1, 1)
            shapes[f"{name}.im.{level}.implicit"] = (1, outputs, 1, 1)
    return shapes


def signs(name: str, count: int) -> np.ndarray:
    """`count` numbers in [-1, 1) that belong to a name."""
    key = 0
    for byte in name.encode():
        key = (31 * key + byte) % 2**32
    z = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(key)
    low = np.uint64(0xFFFFFFFF)
    z &= low
    z = ((z ^ (z >> np.uint64(16))) * np.uint64(2246822507)) & low
    z = ((z ^ (z >> np.uint64(13))) * np.uint64(3266489909)) & low
    z ^= z >> np.uint64(16)
    return 2.0 * (z.astype(np.float64) / 2.0**32) - 1.0


def fill_entry(name: str, shape: tuple, gain: float) -> torch.Tensor:
    """The value of an entry: float64, or int64 for counters."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    values, kind = signs(name, math.prod(shape)), name.rsplit(".", 1)[1]
    predicts = name.split(".")[2] in ("m", "m2")
    if kind == "implicit":
        values = 0.2 * values + (name.split(".")[2] == "im")
    elif len(shape) == 4:
        values *= (2.0 if predicts else gain) / math.sqrt(math.prod(shape[1:]))
    elif predicts:
        values *= 0.5
    elif kind == "running_var":
        values = 1.0 + 0.3 * values
    elif kind == "weight":
        values = 1.0 + 0.2 * values
    else:
        values *= 0.1
    return torch.from_numpy(values).reshape(shape)


def filled_state(model: str) -> dict[str, torch.Tensor]:
    """The training graph's state dict of which `yolov7_outputs.json` has the outputs."""
    gain = OUTPUTS[model]["gain"]
    return {
        name: fill_entry(name, shape, gain)
        for name, shape in state_shapes(model).items()
        if not name.endswith((".anchors", ".anchor_grid"))
    }


def image(height: int, width: int) -> torch.Tensor:
    """The image (1, 3, height, width) in [0, 1], float64."""
    c, y, x = np.ogrid[:3, :height, :width]
    waves = np.sin(0.05 * x + 0.07 * y + c) + np.sin(0.9 * x - 0.7 * y + 2 * c)
    return torch.from_numpy(0.5 + 0.25 * waves)[None]


def checksum(values: torch.Tensor) -> float:
    """A sum that changes when entries change places."""
    index = torch.arange(values.numel())
    return float((values.flatten() * ((index % 101) - 50)).sum())
