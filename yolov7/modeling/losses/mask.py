"""Losses of instance masks, one number a mask.

All take logits and true masks ``(N, H, W)`` and give ``(N,)``.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from yolov7.modeling.losses.classification import focal


def upsampled(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits ``(N, h, w)`` brought to ``size`` (H, W) bilinearly, pixels being areas."""
    return functional.interpolate(mask_logits[:, None], size, mode="bilinear")[:, 0]


def mask_focal(
    mask_logits: Tensor, masks: Tensor, *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Focal loss (arXiv:1708.02002) of the sigmoid, the mean over the pixels of each mask."""
    losses = focal(mask_logits, masks.to(mask_logits.dtype), alpha=alpha, gamma=gamma)
    return losses.flatten(1).mean(dim=1)


def dice(mask_logits: Tensor, masks: Tensor) -> Tensor:
    """Dice loss (arXiv:1606.04797) of the sigmoid: ``1 − (2 Σ p t + 1) / (Σ p + Σ t + 1)``.

    The 1 in numerator and denominator makes it 0 where both masks are empty.
    """
    scores = mask_logits.sigmoid().flatten(1)
    masks = masks.to(scores.dtype).flatten(1)
    overlap = (scores * masks).sum(dim=1)
    return 1 - (2 * overlap + 1) / (scores.sum(dim=1) + masks.sum(dim=1) + 1)
