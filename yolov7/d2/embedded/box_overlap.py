"""Overlaps between all pairs of two sets of boxes."""

from __future__ import annotations

import torch

from yolov7.d2.embedded.boxes import Boxes


def _pairwise_intersection(boxes1: Boxes, boxes2: Boxes) -> torch.Tensor:
    first, second = boxes1.tensor[:, None], boxes2.tensor[None]
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(
        first[..., :2], second[..., :2]
    )
    return sides.clamp(min=0).prod(dim=-1)


def _ratio_or_zero(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    # Boxes without area would give 0 / 0; pairs that do not meet are 0 by definition.
    return torch.where(part > 0, part / whole, torch.zeros_like(part))


def pairwise_iou(boxes1: Boxes, boxes2: Boxes) -> torch.Tensor:
    """Intersection over union of all pairs of N and M boxes: (N, M), in [0, 1], never NaN."""
    intersection = _pairwise_intersection(boxes1, boxes2)
    union = boxes1.area()[:, None] + boxes2.area() - intersection
    return _ratio_or_zero(intersection, union)


def pairwise_ioa(boxes1: Boxes, boxes2: Boxes) -> torch.Tensor:
    """Intersection over the area of the second box of all pairs of N and M boxes: (N, M)."""
    intersection = _pairwise_intersection(boxes1, boxes2)
    return _ratio_or_zero(intersection, boxes2.area()[None].expand_as(intersection))
