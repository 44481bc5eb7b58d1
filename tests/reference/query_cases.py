"""Predictions and objects for which the losses of the authors' programs are known."""

from __future__ import annotations

import math

import torch
from deterministic import uniform
from torch import Tensor

from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import cxcywh_to_xyxy

SIZES = torch.tensor([[96, 128], [60, 90]])


def numbers(key: str, *shape: int) -> Tensor:
    """Float64 numbers in [0, 1)."""
    return torch.from_numpy(uniform(key, math.prod(shape))).view(shape)


def two_images() -> Targets:
    """Three objects in an image of 96x128 and two in one of 60x90, float64."""
    boxes_norm = torch.tensor([0.3, 0.3, 0.1, 0.1], dtype=torch.float64)
    boxes_norm = boxes_norm + 0.4 * numbers("boxes", 5, 4)
    image_index = torch.tensor([0, 0, 0, 1, 1])
    frames = SIZES[image_index].flip(1).repeat(1, 2)
    return Targets(
        boxes=cxcywh_to_xyxy(boxes_norm) * frames,
        labels=torch.tensor([1, 17, 90, 5, 44]),
        image_index=image_index,
        image_sizes=SIZES,
    )


def boxes_norm(queries: int) -> Tensor:
    """``(6, 2, queries, 4)`` boxes."""
    low = torch.tensor([0.2, 0.2, 0.05, 0.05], dtype=torch.float64)
    extent = torch.tensor([0.6, 0.6, 0.45, 0.45], dtype=torch.float64)
    return low + extent * numbers("syn_boxes", 6, 2, queries, 4)


def softmax_predictions() -> QueryPredictions:
    """Six layers of 100 queries, 91 classes and "no object"."""
    logits = 6 * (numbers("syn_logits", 6, 2, 100, 92) - 0.5)
    logits[..., 91] += 3
    return QueryPredictions(logits, boxes_norm(100))


def masks() -> tuple[Tensor, Tensor]:
    """Logits ``(2, 100, 24, 32)``, and rectangles that are the five objects' masks."""
    objects = torch.zeros(5, 96, 128, dtype=torch.bool)
    objects[0, 10:60, 20:90] = True
    objects[1, 40:90, 60:120] = True
    objects[2, 5:25, 90:125] = True
    objects[3, :80, :37] = True
    objects[4, 33:71, 50:99] = True
    return 8 * (numbers("syn_masks", 2, 100, 24, 32) - 0.5), objects


def sigmoid_predictions() -> QueryPredictions:
    """Six layers of 900 queries and 91 classes."""
    return QueryPredictions(6 * (numbers("syn_logits", 6, 2, 900, 91) - 0.5) - 4, boxes_norm(900))
