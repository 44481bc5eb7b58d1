"""Pairs of functions between raw box regressions and boxes.

A coder is one of the parts that a family chooses: the criterion and the postprocessor hold the
same one. Decoding is done in at least float32, since ``exp`` overflows half precision early.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from yolov7.ops.box_ops import at_least_float32, cxcywh_to_xyxy, xyxy_to_cxcywh


class BoxCoder(Protocol):
    """What criteria and postprocessors ask of a coder; leading dimensions broadcast."""

    def decode(
        self, box_deltas: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Boxes ``(..., 4)`` xyxy pixels from regressions ``(..., 4)``."""
        ...

    def encode(
        self, boxes: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Regressions ``(..., 4)`` that decode to ``boxes`` ``(..., 4)`` xyxy pixels."""
        ...


class YOLOXBoxCoder:
    """Anchor-free coding of YOLOX (arXiv 2107.08430, section 2.1).

    With a cell in column ``c`` and row ``r`` of stride ``s`` a regression ``t`` means
    ``center_x = (t_x + c)·s``, ``center_y = (t_y + r)·s``, ``width = e^{t_w}·s``,
    ``height = e^{t_h}·s``. It counts from the cell's *corner*, so that ``t_x = ½`` is the cell's
    centre; nothing is clamped.
    """

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


class YOLOv7BoxCoder:
    """Anchor-based coding of YOLOv5 and YOLOv7 (arXiv 2207.02696).

    With σ the sigmoid, a cell in column ``c`` and row ``r`` of stride ``s`` and an anchor of
    ``a_w`` by ``a_h`` pixels, a regression ``t`` means ``center_x = (2σ(t_x) - ½ + c)·s``,
    ``center_y = (2σ(t_y) - ½ + r)·s``, ``width = (2σ(t_w))²·a_w``, ``height = (2σ(t_h))²·a_h``.
    It counts from the cell's *corner*: centres lie up to half a cell outside their cell, sides
    between 0 and 4 times the anchor's.
    """

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
        size = doubled[..., 2:].square() * _required(anchors)
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
        size = (boxes_cxcywh[..., 2:].clamp(min=0) / _required(anchors)).sqrt()
        return (torch.cat([middle, size], dim=-1) / 2).logit(eps=1e-6)


def _required(anchors: Tensor | None) -> Tensor:
    if anchors is None:
        raise ValueError("YOLOv7BoxCoder needs the anchors of an anchor head, got None")
    return anchors
