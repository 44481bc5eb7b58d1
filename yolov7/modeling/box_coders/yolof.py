"""Coding of boxes by anchors at the cells' corners, of YOLOF."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.modeling.box_coders.coder import required
from yolov7.modeling.registries import BOX_CODER_REGISTRY
from yolov7.ops.box_ops import at_least_float32, cxcywh_to_xyxy, xyxy_to_cxcywh
from yolov7.utils.expectations import expect

LARGEST_LOG_RATIO = math.log(1000 / 16)
"""Largest logarithm of a box's side by its anchor's, as in detectron2."""


def corner_anchors(centers: Tensor, strides: Tensor, anchors: Tensor) -> Tensor:
    """Anchors as boxes whose middle is the top-left corner of their cell.

    Args:
        centers: ``(..., 2)`` centres of the cells in pixels.
        strides: ``(...)`` pixels per cell.
        anchors: ``(..., 2)`` width and height in pixels.

    Returns:
        ``(..., 4)`` as centre, width and height.
    """
    return torch.cat([centers - strides[..., None] / 2, anchors], dim=-1)


@BOX_CODER_REGISTRY.register()
class YOLOFBoxCoder:
    """Anchor-based coding of Faster R-CNN with two limits, as YOLOF (arXiv 2103.09460) has it.

    With an anchor of ``a_w`` by ``a_h`` pixels in the middle of which ``(x, y)`` is the top-left
    *corner* of its cell, a regression ``t`` means ``center_x = x + t_x·a_w``, ``center_y = y +
    t_y·a_h``, ``width = e^{t_w}·a_w``, ``height = e^{t_h}·a_h``. A centre stays within
    ``max_shift`` pixels of the anchor's on each axis, a side below 62.5 times the anchor's; beyond
    there is no gradient.

    Args:
        max_shift: in pixels, whatever the stride.

    Raises:
        ConfigError: it is not positive.
    """

    uses_anchors = True

    @configurable
    def __init__(self, *, max_shift: float = 32.0) -> None:
        expect(max_shift > 0, "MODEL.BOX_CODER.MAX_SHIFT", "a number above 0", max_shift)
        self.max_shift = max_shift

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """The limit from ``MODEL.BOX_CODER``."""
        return {"max_shift": cfg.MODEL.BOX_CODER.MAX_SHIFT}

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
        deltas = at_least_float32(box_deltas)
        start = corner_anchors(centers, strides, required(anchors, self))
        shift = (deltas[..., :2] * start[..., 2:]).clamp(-self.max_shift, self.max_shift)
        size = deltas[..., 2:].clamp(max=LARGEST_LOG_RATIO).exp() * start[..., 2:]
        return cxcywh_to_xyxy(torch.cat([start[..., :2] + shift, size], dim=-1))

    def encode(
        self, boxes: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Regressions of boxes; the inverse of :meth:`decode` within its limits.

        Args:
            boxes: ``(..., 4)`` xyxy pixels.
            centers: ``(..., 2)`` centres of the cells in pixels.
            strides: ``(...)`` pixels per cell.
            anchors: ``(..., 2)`` width and height in pixels.

        Returns:
            ``(..., 4)`` raw regressions. Ratios of sides are kept above 1e-8, so that a box without
            extent has a finite value.
        """
        boxes_cxcywh = xyxy_to_cxcywh(at_least_float32(boxes))
        start = corner_anchors(centers, strides, required(anchors, self))
        middle = (boxes_cxcywh[..., :2] - start[..., :2]) / start[..., 2:]
        size = (boxes_cxcywh[..., 2:] / start[..., 2:]).clamp(min=1e-8).log()
        return torch.cat([middle, size], dim=-1)
