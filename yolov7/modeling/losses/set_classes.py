"""Class losses of query heads: over all queries, those without an object included.

A loss takes logits ``(L, B, Q, C)`` and the matched queries: an index of ``(L, B, Q)`` that names
L·M places, and the labels of their objects, broadcast to it. It gives the sum over the queries of
each layer, ``(L,)``, and says what such sums are to be divided by.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.modeling.losses.classification import focal, focal_of_negatives
from yolov7.utils.errors import ConfigError

Index = tuple[Tensor, Tensor, Tensor]
"""Layers, images and queries that broadcast to ``(L, M)``."""

Number = TypeVar("Number", float, Tensor)


class SetClassLoss(Protocol):
    """How the classes of all queries are compared with those of the matched objects."""

    def __call__(self, class_logits: Tensor, matched: Index, labels: Tensor) -> Tensor:
        """Sums ``(L,)``."""

    def count(self, num_objects: Number, num_queries: Number) -> Number:
        """What a sum is divided by, for the objects and queries that it is a sum over; linear."""


class SoftmaxClassLoss:
    """Cross entropy of the softmax, "no object" being the last class (DETR, arXiv:2005.12872).

    It is a weighted mean, so the divisor is the sum of the weights of what is true: 1 for each
    object, ``no_object_weight`` for each of the other queries.

    Args:
        no_object_weight: weight of queries without an object, of which there are far more.

    Raises:
        ConfigError: the weight is not positive.
    """

    def __init__(self, *, no_object_weight: float = 0.1) -> None:
        if no_object_weight <= 0:
            raise ConfigError(
                "MODEL.CRITERION.NO_OBJECT_WEIGHT: expected a positive number, got "
                f"{no_object_weight}; without it no query would learn that it found nothing"
            )
        self.no_object_weight = no_object_weight

    def __call__(self, class_logits: Tensor, matched: Index, labels: Tensor) -> Tensor:
        """Sums ``(L,)`` of weighted losses; C = K + 1."""
        no_object = class_logits.shape[-1] - 1
        wanted = torch.full(class_logits.shape[:-1], no_object, device=class_logits.device)
        wanted[matched] = labels
        weights = class_logits.new_ones(no_object + 1)
        weights[no_object] = self.no_object_weight
        losses = functional.cross_entropy(
            class_logits.flatten(0, 2), wanted.flatten(), weights, reduction="none"
        )
        return losses.view(len(class_logits), -1).sum(dim=1)

    def count(self, num_objects: Number, num_queries: Number) -> Number:
        """The sum of the weights."""
        return num_objects + self.no_object_weight * (num_queries - num_objects)


class FocalClassLoss:
    """Focal loss of every class of every query (deformable DETR, Anchor DETR); no for most.

    Nearly all places are negative, so the loss is taken as if all were, and corrected at the few
    that are not. The divisor is the number of objects.

    Args:
        alpha: weight of positives.
        gamma: how much less what is already right counts.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0) -> None:
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, class_logits: Tensor, matched: Index, labels: Tensor) -> Tensor:
        """Sums ``(L,)``; C = K."""
        numbers = {"alpha": self.alpha, "gamma": self.gamma}
        positive = class_logits[(*matched, labels)]
        correction = focal(positive, torch.ones_like(positive), **numbers)
        correction = correction - focal_of_negatives(positive, **numbers)
        negatives = focal_of_negatives(class_logits, **numbers)
        return negatives.flatten(1).sum(dim=1) + correction.sum(dim=1)

    def count(self, num_objects: Number, num_queries: Number) -> Number:
        """The number of objects."""
        return num_objects
