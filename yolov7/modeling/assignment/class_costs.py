"""What it costs to give an object to a query, by the query's class logits.

A cost takes logits ``(L, B, Q, C)`` and, of M objects, their images and labels, both ``(M,)``
int64, and gives ``(M, L, Q)``: for each object the cost of each query of its image in each layer.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

ClassCost = Callable[[Tensor, Tensor, Tensor], Tensor]


def softmax_cost(class_logits: Tensor, image_index: Tensor, labels: Tensor) -> Tensor:
    """DETR's (arXiv:2005.12872, section 3.1): ``−p`` of the object's class, in [-1, 0]."""
    # The two index tensors are apart, so that PyTorch puts their axis first.
    return -class_logits.softmax(dim=-1)[:, image_index, :, labels]


class FocalCost:
    """Deformable DETR's: the focal loss as a positive less that as a negative, of one class.

    ``α (1 − p)^γ · −ln(p + ε) − (1 − α) p^γ · −ln(1 − p + ε)`` with ``p`` = σ(logit), ε = 1e-8.

    Args:
        alpha: weight of positives.
        gamma: how much less what is already right counts.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0) -> None:
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, class_logits: Tensor, image_index: Tensor, labels: Tensor) -> Tensor:
        """Costs ``(M, L, Q)``, see above."""
        score = class_logits[:, image_index, :, labels].sigmoid()
        as_positive = self.alpha * (1 - score) ** self.gamma * -(score + 1e-8).log()
        as_negative = (1 - self.alpha) * score**self.gamma * -(1 - score + 1e-8).log()
        return as_positive - as_negative
