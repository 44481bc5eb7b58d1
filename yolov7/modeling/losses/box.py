"""Losses of boxes: 1 − some IoU of each pair, without reduction.

All take ``(N, 4)`` predicted and true boxes, xyxy pixels, in this order, and give ``(N,)`` losses
in at least float32. The names are those of ``MODEL.CRITERION.BOX_LOSS``.
"""

from __future__ import annotations

from torch import Tensor

from yolov7.modeling.registries import LOSS_REGISTRY
from yolov7.ops.box_ops import (
    elementwise_ciou,
    elementwise_diou,
    elementwise_giou,
    elementwise_iou,
)


@LOSS_REGISTRY.register()
def iou_squared(pred_boxes: Tensor, boxes: Tensor) -> Tensor:
    """``1 − IoU²``, YOLOX's loss, in [0, 1]; disjoint pairs give 1 and no gradient."""
    return 1 - elementwise_iou(pred_boxes, boxes, eps=1e-16).square()


@LOSS_REGISTRY.register()
def iou(pred_boxes: Tensor, boxes: Tensor) -> Tensor:
    """``1 − IoU``, in [0, 1]; disjoint pairs give 1 and no gradient."""
    return 1 - elementwise_iou(pred_boxes, boxes, eps=1e-16)


@LOSS_REGISTRY.register()
def giou(pred_boxes: Tensor, boxes: Tensor) -> Tensor:
    """``1 − GIoU`` (arXiv 1902.09630), in [0, 2]; disjoint pairs are drawn together."""
    return 1 - elementwise_giou(pred_boxes, boxes, eps=0.0)


@LOSS_REGISTRY.register()
def diou(pred_boxes: Tensor, boxes: Tensor) -> Tensor:
    """``1 − DIoU`` (arXiv 1911.08287), in [0, 2]; centres are drawn together."""
    return 1 - elementwise_diou(pred_boxes, boxes)


@LOSS_REGISTRY.register()
def ciou(pred_boxes: Tensor, boxes: Tensor) -> Tensor:
    """``1 − CIoU`` (arXiv 1911.08287), at least 0; DIoU and the aspect ratios' difference."""
    return 1 - elementwise_ciou(pred_boxes, boxes)
