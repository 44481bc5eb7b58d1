"""Coding of boxes by anchors with exponential sizes, of YOLOv3 and YOLOv4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.modeling.box_coders.coder import required
from yolov7.modeling.registries import BOX_CODER_REGISTRY
from yolov7.ops.box_ops import at_least_float32, cxcywh_to_xyxy, xyxy_to_cxcywh
from yolov7.utils.expectations import expect


@BOX_CODER_REGISTRY.register()
class YOLOv4BoxCoder:
    """Anchor-based coding of YOLOv3 (arXiv 1804.02767) and YOLOv4 (arXiv 2004.10934).

    With σ the sigmoid, a cell in column ``c`` and row ``r`` of stride ``s``, an anchor of ``a_w``
    by ``a_h`` pixels and the level's scale ``k``, a regression ``t`` means ``center_x = (k·σ(t_x) -
    (k - 1)/2 + c)·s``, ``center_y = (k·σ(t_y) - (k - 1)/2 + r)·s``, ``width = e^{t_w}·a_w``,
    ``height = e^{t_h}·a_h``. It counts from the cell's *corner*. With ``k`` = 1, YOLOv3's, the
    cell's borders are never quite reached; with YOLOv4's 1.05 to 1.2 centres lie up to a tenth of a
    cell outside. Nothing is clamped.

    Args:
        scale_xy: ``k`` of each level, finest first (darknet's ``scale_x_y``).
        strides: pixels per cell of each level, ascending.

    Raises:
        ConfigError: there is not one scale of at least 1 for each level.
    """

    uses_anchors = True
    logit_centers = True

    @configurable
    def __init__(self, *, scale_xy: Sequence[float], strides: Sequence[int]) -> None:
        numbers = all(isinstance(scale, int | float) and scale >= 1 for scale in scale_xy)
        fits = numbers and len(scale_xy) == len(strides)
        wanted = f"for each of the strides {list(strides)} a number >= 1"
        expect(fits, "MODEL.BOX_CODER.SCALE_XY", wanted, list(scale_xy))
        self._scale_of_stride = dict(zip(strides, scale_xy, strict=True))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Scales from ``MODEL.BOX_CODER``, for the levels of the head's input."""
        return {
            "scale_xy": cfg.MODEL.BOX_CODER.SCALE_XY,
            "strides": sorted(spec.stride for spec in input_shape.values()),
        }

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
            ``(..., 4)`` xyxy pixels, float32 or float64; NaN for a stride of no level.
        """
        deltas = at_least_float32(box_deltas)
        scale = self._scales(strides)
        # From the cell's corner by -(k - 1)/2 is from its centre by -k/2.
        middle = scale * (deltas[..., :2].sigmoid() - 0.5) * strides[..., None] + centers
        size = deltas[..., 2:].exp() * required(anchors, self)
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
            ``(..., 4)`` raw regressions; NaN for a stride of no level. Sigmoids are kept within
            [1e-6, 1 - 1e-6] and ratios of sides above 1e-8, so that a box that no regression gives
            has a finite value.
        """
        boxes_cxcywh = xyxy_to_cxcywh(at_least_float32(boxes))
        cells = (boxes_cxcywh[..., :2] - centers) / strides[..., None]
        middle = (cells / self._scales(strides) + 0.5).logit(eps=1e-6)
        size = (boxes_cxcywh[..., 2:] / required(anchors, self)).clamp(min=1e-8).log()
        return torch.cat([middle, size], dim=-1)

    def _scales(self, strides: Tensor) -> Tensor:
        """The scale ``(..., 1)`` of each prediction's level."""
        scales = torch.full_like(strides, torch.nan)
        for stride, scale in self._scale_of_stride.items():
            scales = torch.where(strides == stride, scale, scales)
        return scales[..., None]
