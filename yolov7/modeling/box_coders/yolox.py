"""Anchor-free coding of boxes, of YOLOX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.modeling.registries import BOX_CODER_REGISTRY
from yolov7.ops.box_ops import at_least_float32, cxcywh_to_xyxy, xyxy_to_cxcywh


@BOX_CODER_REGISTRY.register()
class YOLOXBoxCoder:
    """Anchor-free coding of YOLOX (arXiv 2107.08430, section 2.1).

    With a cell in column ``c`` and row ``r`` of stride ``s`` a regression ``t`` means
    ``center_x = (t_x + c)·s``, ``center_y = (t_y + r)·s``, ``width = e^{t_w}·s``,
    ``height = e^{t_h}·s``. It counts from the cell's *corner*, so that ``t_x = ½`` is the cell's
    centre; nothing is clamped.
    """

    uses_anchors = False
    logit_centers = False

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
            anchors: not used by this coder.

        Returns:
            ``(..., 4)`` xyxy pixels, float32 or float64.
        """
        deltas = at_least_float32(box_deltas)
        strides = strides[..., None]
        corners = centers - strides / 2
        middle = deltas[..., :2] * strides + corners
        size = deltas[..., 2:].exp() * strides
        return cxcywh_to_xyxy(torch.cat([middle, size], dim=-1))

    def encode(
        self, boxes: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Regressions of boxes; the inverse of :meth:`decode`.

        Args:
            boxes: ``(..., 4)`` xyxy pixels.
            centers: ``(..., 2)`` centres of the cells in pixels.
            strides: ``(...)`` pixels per cell.
            anchors: not used by this coder.

        Returns:
            ``(..., 4)`` raw regressions. The logarithm's argument is raised by 1e-8, so that a
            box without extent gives a finite value.
        """
        boxes_cxcywh = xyxy_to_cxcywh(at_least_float32(boxes))
        strides = strides[..., None]
        corners = centers - strides / 2
        middle = (boxes_cxcywh[..., :2] - corners) / strides
        size = (boxes_cxcywh[..., 2:] / strides + 1e-8).log()
        return torch.cat([middle, size], dim=-1)
