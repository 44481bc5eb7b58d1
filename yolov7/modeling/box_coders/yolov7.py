"""Coding of boxes by anchors without exponentials, of YOLOv5, Scaled-YOLOv4 and YOLOv7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.modeling.box_coders.coder import required
from yolov7.modeling.registries import BOX_CODER_REGISTRY
from yolov7.ops.box_ops import at_least_float32, cxcywh_to_xyxy, xyxy_to_cxcywh


@BOX_CODER_REGISTRY.register()
class YOLOv7BoxCoder:
    """Anchor-based coding of YOLOv5, Scaled-YOLOv4 (arXiv 2011.08036) and YOLOv7 (2207.02696).

    With σ the sigmoid, a cell in column ``c`` and row ``r`` of stride ``s`` and an anchor of
    ``a_w`` by ``a_h`` pixels, a regression ``t`` means ``center_x = (2σ(t_x) - ½ + c)·s``,
    ``center_y = (2σ(t_y) - ½ + r)·s``, ``width = (2σ(t_w))²·a_w``, ``height = (2σ(t_h))²·a_h``.
    It counts from the cell's *corner*: centres lie up to half a cell outside their cell, sides
    between 0 and 4 times the anchor's.
    """

    uses_anchors = True
    logit_centers = True

    @configurable
    def __init__(self) -> None:
        """Nothing to choose."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """No keys."""
        return {}

    def decode(
        self, box_deltas: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Boxes of regressions.

        Args:
            box_deltas: ``(..., 4)`` raw regressions ``(t_x, t_y, t_w, t_h)``.
            centers: ``(..., 2)`` centres of the cells in pixels, as in ``DensePredictions``.
            strides: ``(...)`` pixels per cell.
            anchors: ``(..., 2)`` width and height in pixels.

        Returns:
            ``(..., 4)`` xyxy pixels, float32 or float64.
        """
        doubled = at_least_float32(box_deltas).sigmoid() * 2
        strides = strides[..., None]
        # From the cell's corner by -½ is from its centre by -1.
        middle = (doubled[..., :2] - 1) * strides + centers
        size = doubled[..., 2:].square() * required(anchors, self)
        return cxcywh_to_xyxy(torch.cat([middle, size], dim=-1))

    def encode(
        self, boxes: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Regressions of boxes; the inverse of :meth:`decode`.

        Args:
            boxes: ``(..., 4)`` xyxy pixels.
            centers: ``(..., 2)`` centres of the cells in pixels.
            strides: ``(...)`` pixels per cell.
            anchors: ``(..., 2)`` width and height in pixels.

        Returns:
            ``(..., 4)`` raw regressions. The sigmoids are kept within [1e-6, 1 - 1e-6], so that a
            box that no regression gives has a finite value.
        """
        boxes_cxcywh = xyxy_to_cxcywh(at_least_float32(boxes))
        middle = (boxes_cxcywh[..., :2] - centers) / strides[..., None] + 1
        size = (boxes_cxcywh[..., 2:].clamp(min=0) / required(anchors, self)).sqrt()
        return (torch.cat([middle, size], dim=-1) / 2).logit(eps=1e-6)
