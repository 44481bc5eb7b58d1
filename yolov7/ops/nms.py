"""Non-maximum suppression: which detections of one image stay.

All take boxes ``(N, 4)`` xyxy, scores ``(N,)``, classes ``(N,)`` and an IoU threshold, and give the
int64 indices of those that stay, best first; equal scores keep their order. Right for N = 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import nms as greedy_nms

NMS = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def class_aware_nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Drop what overlaps a better detection of the *same class* by more than ``threshold``.

    Classes are kept apart by moving each to a place of its own, in float64 and by the whole extent
    of the boxes. (torchvision's ``batched_nms`` does it in the boxes' dtype and by their largest
    coordinate: there one box that reaches far, as untrained networks make them, moves the others
    out of float32's precision, and boxes with negative coordinates meet those of other classes.)
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    boxes = boxes.double()
    extent = boxes.max() - boxes.min() + 1
    return agnostic_nms(boxes + (classes * extent)[:, None], scores, classes, threshold)


def agnostic_nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Drop what overlaps a better detection of *any class* by more than ``threshold``."""
    order = scores.argsort(descending=True, stable=True)
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float64, device=boxes.device)
    return order[greedy_nms(boxes.double()[order], ranks, threshold)]


NMS_TYPES: dict[str, NMS] = {"normal": class_aware_nms, "agnostic": agnostic_nms}
"""The values of ``MODEL.NMS_TYPE``."""
