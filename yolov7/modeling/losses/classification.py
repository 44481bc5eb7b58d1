"""Losses of independent yes-or-no decisions, without reduction.

All take logits and targets in [0, 1] of one shape (soft targets too) and give losses of that shape.
The names are those of ``MODEL.CRITERION.{CLASS_LOSS,OBJECTNESS_LOSS}``.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from yolov7.modeling.registries import LOSS_REGISTRY


@LOSS_REGISTRY.register()
def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of ``σ(logits)``."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@LOSS_REGISTRY.register()
def focal(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (arXiv 1708.02002, equation 5): ``α_t · (1 − p_t)^γ`` times the cross entropy.

    ``p_t`` is the probability given to what is true and ``α_t`` is ``alpha`` for positive, ``1 −
    alpha`` for negative places; both are interpolated for targets between 0 and 1.
    """
    scores = logits.sigmoid()
    agreement = scores * targets + (1 - scores) * (1 - targets)
    balance = alpha * targets + (1 - alpha) * (1 - targets)
    return balance * (1 - agreement).pow(gamma) * bce(logits, targets)


@LOSS_REGISTRY.register()
def sigmoid_l1(logits: Tensor, targets: Tensor) -> Tensor:
    """``|σ(logits) − targets|``, in [0, 1]."""
    return (logits.sigmoid() - targets).abs()


def focal_of_negatives(logits: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """What :func:`focal` gives for targets of 0, in a third of the time."""
    # Above its threshold softplus leaves ln(1 + exp(-x)) away, which float64 would notice at 20.
    return (1 - alpha) * logits.sigmoid().pow(gamma) * functional.softplus(logits, threshold=50)
