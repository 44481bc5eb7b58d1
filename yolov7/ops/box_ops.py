"""Geometry of boxes: pure functions on tensors, right for N = 0.

Boxes are ``(..., 4)`` xyxy in absolute pixels unless the name says otherwise (``boxes_cxcywh``,
``boxes_xywh``). Box maths is done in at least float32: half precision is raised, float64 stays.
No function changes its arguments.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor itself when it is float32 or float64, else raised to float32."""
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    return tensor.to(torch.float32)


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Corners ``(..., 4)`` of boxes given as centre, width and height ``(..., 4)``."""
    middle, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat([middle - size / 2, middle + size / 2], dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Centre, width and height ``(..., 4)`` of boxes ``(..., 4)``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def xywh_to_xyxy(boxes_xywh: Tensor) -> Tensor:
    """Corners ``(..., 4)`` of boxes given as top-left corner, width and height ``(..., 4)``."""
    low, size = boxes_xywh[..., :2], boxes_xywh[..., 2:]
    return torch.cat([low, low + size], dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """Top-left corner, width and height ``(..., 4)`` of boxes ``(..., 4)``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([low, high - low], dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Areas ``(...)`` of boxes ``(..., 4)``; 0 where a box is turned inside out."""
    size = (at_least_float32(boxes[..., 2:]) - at_least_float32(boxes[..., :2])).clamp(min=0)
    return size[..., 0] * size[..., 1]


def clip_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Boxes ``(..., 4)`` clipped to ``[0, width] × [0, height]`` of ``image_size`` (h, w)."""
    height, width = image_size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def nonempty_boxes(boxes: Tensor, min_side: float = 0.0) -> Tensor:
    """``(...)`` bool: whether both sides of ``boxes`` ``(..., 4)`` are longer than ``min_side``."""
    return ((boxes[..., 2:] - boxes[..., :2]) > min_side).all(dim=-1)


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(boxes1[..., :2], boxes2[..., :2])
    high = torch.minimum(boxes1[..., 2:], boxes2[..., 2:])
    size = (high - low).clamp(min=0)
    intersection = size[..., 0] * size[..., 1]
    return intersection, box_area(boxes1) + box_area(boxes2) - intersection


def pairwise_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU ``(..., N, M)`` of all pairs of ``boxes1 (..., N, 4)`` and ``boxes2 (..., M, 4)``.

    In [0, 1]; 0 for disjoint pairs and where neither box has an area.
    """
    first, second = at_least_float32(boxes1), at_least_float32(boxes2)
    return elementwise_iou(first[..., :, None, :], second[..., None, :, :])


def elementwise_iou(boxes1: Tensor, boxes2: Tensor, *, eps: float = 0.0) -> Tensor:
    """IoU ``(...)`` of ``boxes1`` and ``boxes2``, both ``(..., 4)`` and broadcast.

    Args:
        boxes1: xyxy.
        boxes2: xyxy.
        eps: added to the union. With 0 a pair without any area has IoU 0.
    """
    intersection, union = _intersection_and_union(
        at_least_float32(boxes1), at_least_float32(boxes2)
    )
    return _ratio(intersection, union, eps)


def elementwise_ioa(boxes: Tensor, regions: Tensor) -> Tensor:
    """The share ``(...)`` of the area of ``boxes`` that lies in ``regions``, both ``(..., 4)``.

    In [0, 1]; 0 for boxes without area.
    """
    boxes, regions = at_least_float32(boxes), at_least_float32(regions)
    intersection, _ = _intersection_and_union(boxes, regions)
    return _ratio(intersection, box_area(boxes), 0.0)


def elementwise_giou(boxes1: Tensor, boxes2: Tensor, *, eps: float = 1e-7) -> Tensor:
    """Generalised IoU ``(...)`` in [-1, 1] (arXiv 1902.09630): IoU less the hull's empty share."""
    first, second = at_least_float32(boxes1), at_least_float32(boxes2)
    intersection, union = _intersection_and_union(first, second)
    hull = _hull_size(first, second)
    hull_area = hull[..., 0] * hull[..., 1]
    return _ratio(intersection, union, eps) - _ratio(hull_area - union, hull_area, eps)


def elementwise_diou(boxes1: Tensor, boxes2: Tensor, *, eps: float = 1e-7) -> Tensor:
    """Distance IoU ``(...)`` (arXiv 1911.08287): IoU − (centres' distance / diagonal)²."""
    first, second = at_least_float32(boxes1), at_least_float32(boxes2)
    intersection, union = _intersection_and_union(first, second)
    diagonal = _hull_size(first, second).square().sum(dim=-1)
    offset = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = offset.square().sum(dim=-1)
    return _ratio(intersection, union, eps) - _ratio(distance, diagonal, eps)


def elementwise_ciou(boxes1: Tensor, boxes2: Tensor, *, eps: float = 1e-7) -> Tensor:
    """Complete IoU ``(...)`` (arXiv 1911.08287): DIoU − α·v.

    ``v = 4/π² · (atan(w₂/h₂) − atan(w₁/h₁))²`` measures the aspect ratios' difference and
    ``α = v / (1 − IoU + v)`` trades it off; α is a constant for the gradient, as in the paper.
    """
    first, second = at_least_float32(boxes1), at_least_float32(boxes2)
    size1, size2 = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    # atan2 has a value, and a gradient, for boxes without height.
    angle1 = torch.atan2(size1[..., 0], size1[..., 1] + eps)
    angle2 = torch.atan2(size2[..., 0], size2[..., 1] + eps)
    aspect = 4 / math.pi**2 * (angle2 - angle1).square()
    with torch.no_grad():
        iou = elementwise_iou(first, second, eps=eps)
        alpha = aspect / (1 - iou + aspect + eps)
    return elementwise_diou(first, second, eps=eps) - alpha * aspect


def _hull_size(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    low = torch.minimum(boxes1[..., :2], boxes2[..., :2])
    high = torch.maximum(boxes1[..., 2:], boxes2[..., 2:])
    return high - low


def _ratio(numerator: Tensor, denominator: Tensor, eps: float) -> Tensor:
    """``numerator / (denominator + eps)``, and 0 where the denominator is still 0."""
    denominator = denominator + eps
    empty = denominator == 0
    # The inner where keeps a division by zero out of the gradient as well.
    return torch.where(empty, 0, numerator / torch.where(empty, 1, denominator))
