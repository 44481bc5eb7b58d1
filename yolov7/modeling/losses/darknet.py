"""YOLOv4's criterion as its authors' program trains it, with their own gradient of the boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.losses.classic import ClassicCriterion
from yolov7.modeling.losses.elementwise import elementwise_losses, term_weights
from yolov7.modeling.losses.regression import Pairs
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.ops.box_ops import cxcywh_to_xyxy, elementwise_ciou, xyxy_to_cxcywh
from yolov7.utils.expectations import expect


@CRITERION_REGISTRY.register()
class DarknetCriterion(ClassicCriterion):
    """`ClassicCriterion` whose ``loss_box`` has darknet's gradient (YOLOv4, arXiv 2004.10934).

    darknet has no loss function: it writes the gradients of the raw outputs down. Those of
    objectness and classes are the binary cross entropy's, which `ClassicCriterion` has; those of
    the boxes are :func:`darknet_ciou_gradient`'s. With batches of one image, or averaged by
    ``IMS_PER_BATCH``, the gradients are darknet's. Its ``cls_normalizer`` has no effect there, so
    ``CLASS_WEIGHT`` is 1 in YOLOv4; ``BOX_WEIGHT`` is its ``iou_normalizer``, ``OBJECTNESS_WEIGHT``
    times ``LEVEL_BALANCE`` its ``obj_normalizer``.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder.

        Raises:
            ConfigError: ``BOX_LOSS`` is not ``ciou``, or a number is out of range.
        """
        criterion, losses = cfg.MODEL.CRITERION, elementwise_losses(cfg)
        expect(criterion.BOX_LOSS == "ciou", "MODEL.CRITERION.BOX_LOSS", "ciou", criterion.BOX_LOSS)
        limit = criterion.MAX_DELTA
        expect(limit >= 0, "MODEL.CRITERION.MAX_DELTA", "a number >= 0", limit)
        del losses["box_loss"]
        weights = term_weights(cfg)
        box_term = DarknetBoxes(
            box_coder=box_coder,
            weight=weights["box"],
            max_delta=limit or math.inf,
            # darknet does so exactly where several anchors may answer for an object.
            share=cfg.MODEL.ASSIGNER.IOU_THRESHOLD < 1,
        )
        return {
            **cls._common_arguments(cfg, box_coder),
            **losses,
            "box_terms": {"loss_box": box_term},
            "loss_weights": {
                "loss_box": 1.0,
                "loss_objectness": weights["objectness"],
                "loss_class": weights["classes"],
            },
        }


@dataclass(frozen=True)
class DarknetBoxes:
    """1 − CIoU in shares of the frame, with darknet's gradient of the raw regressions.

    That gradient is ``−weight · darknet_ciou_gradient``, for width and height times ``e^t`` as
    `YOLOv4BoxCoder` demands (but without the anchor), for the centre without the derivatives of
    sigmoid, scale and stride; each number is limited to ``max_delta``. Where the exponential
    overflows, loss and gradient are 0.

    Attributes:
        box_coder: a `YOLOv4BoxCoder`.
        weight: of the loss (darknet's ``iou_normalizer``).
        max_delta: the largest number in a pair's gradient.
        share: divide by the number of classes that the prediction answers for.
    """

    box_coder: BoxCoder
    weight: float
    max_delta: float = math.inf
    share: bool = True

    def __call__(self, pairs: Pairs) -> Tensor:
        """Losses ``(F,)``, weighted."""
        with torch.no_grad():
            frame = pairs.frame.repeat(2)
            pred = self.box_coder.decode(pairs.deltas, *pairs.places) / frame
            true = pairs.boxes / frame
            values = self.weight * (1 - elementwise_ciou(pred, true))
            ascent = darknet_ciou_gradient(xyxy_to_cxcywh(pred), xyxy_to_cxcywh(true))
            chain = torch.cat([torch.ones_like(ascent[:, :2]), pairs.deltas[:, 2:].exp()], dim=1)
            gradient = (-self.weight * ascent * chain).nan_to_num(0.0, 0.0, 0.0)
            values = values.nan_to_num(0.0, 0.0, 0.0)
            gradient = gradient.clamp(-self.max_delta, self.max_delta)
            if self.share:
                values, gradient = values / pairs.num_classes, gradient / pairs.num_classes[:, None]
        return _WithGradient.apply(pairs.deltas, values, gradient)


def darknet_ciou_gradient(pred_cxcywh: Tensor, true_cxcywh: Tensor) -> Tensor:
    """darknet's direction of growing CIoU, for predicted centre, width and height.

    It is the derivative of CIoU (arXiv 1911.08287) but for three things, which are darknet's: the
    IoU's part for width and height is the sum of their two borders' instead of half of it; where a
    centre moves the hull, that part has the other sign; and the aspect ratio's part lacks its
    factor ``1 / (w² + h²)``.

    Args:
        pred_cxcywh, true_cxcywh: ``(F, 4)`` in shares of the frame.

    Returns:
        ``(F, 4)``.
    """
    pred, true = cxcywh_to_xyxy(pred_cxcywh), cxcywh_to_xyxy(true_cxcywh)
    size, true_size = pred_cxcywh[:, 2:], true_cxcywh[:, 2:]
    common = torch.minimum(pred[:, 2:], true[:, 2:]) - torch.maximum(pred[:, :2], true[:, :2])
    hull = torch.maximum(pred[:, 2:], true[:, 2:]) - torch.minimum(pred[:, :2], true[:, :2])
    intersection = common.prod(dim=1, keepdim=True)
    union = size.prod(dim=1, keepdim=True) + true_size.prod(dim=1, keepdim=True) - intersection
    # By the low borders (left, upper) and the high ones (right, lower).
    low_inside, high_inside = pred[:, :2] > true[:, :2], pred[:, 2:] < true[:, 2:]

    def of_border(sign: float, inside: Tensor) -> Tensor:
        area = sign * size.flip(1)
        overlap = torch.where(inside, sign * common.flip(1), 0)
        return (union * overlap - intersection * (area - overlap)) / union.square()

    low, high = of_border(-1.0, low_inside), of_border(1.0, high_inside)
    overlapping = (common > 0).all(dim=1, keepdim=True)
    iou = torch.where(overlapping, intersection / union, 0)
    by_center, by_size = (torch.where(overlapping, x, 0) for x in (low + high, high - low))

    low_out, high_out = (
        (pred[:, :2] < true[:, :2]).to(pred.dtype),
        (pred[:, 2:] > true[:, 2:]).to(pred.dtype),
    )
    offset = true_cxcywh[:, :2] - pred_cxcywh[:, :2]
    diagonal = hull.square().sum(dim=1, keepdim=True)
    distance = offset.square().sum(dim=1, keepdim=True)
    shift = 2 * hull * (high_out - low_out) * distance
    by_center = by_center + (2 * offset * diagonal - shift) / diagonal.square()
    by_size = by_size + hull * (high_out + low_out) * distance / diagonal.square()

    def angle(sides: Tensor) -> Tensor:
        return torch.atan(sides[:, :1] / sides[:, 1:])

    difference = angle(true_size) - angle(size)
    aspect = 4 / math.pi**2 * difference.square()
    slope = aspect / (1 - iou + aspect + 1e-6) * 8 / math.pi**2 * difference
    return torch.cat([by_center, by_size + slope * size.flip(1) * size.new_tensor([1, -1])], dim=1)


class _WithGradient(torch.autograd.Function):
    """Values ``(F,)`` with a given gradient ``(F, 4)`` of something ``(F, 4)``."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad_output[:, None] * gradient, None, None
