"""How the class logits of queries are read: as one softmax with "no object", or as sigmoids.

Which of the two it is follows from the loss that trains them, `MODEL.CRITERION.CLASS_LOSS`.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from yolov7.d2 import CfgNode
from yolov7.utils.names import look_up


class QueryScores(Protocol):
    """From logits to scores.

    Attributes:
        has_no_object: whether the last logit means "no object".
    """

    has_no_object: bool

    def num_logits(self, num_classes: int) -> int:
        """C, the class logits of a query, for K classes."""

    def __call__(self, class_logits: Tensor) -> Tensor:
        """Scores ``(..., K)`` in [0, 1] of logits ``(..., C)``."""


class SoftmaxScores:
    """One class or none (DETR): C = K + 1, and the scores of a query add up to at most 1."""

    has_no_object = True

    def num_logits(self, num_classes: int) -> int:
        """K + 1."""
        return num_classes + 1

    def __call__(self, class_logits: Tensor) -> Tensor:
        """Softmax over all C; the last is left out of the result."""
        return class_logits.softmax(dim=-1)[..., :-1]


class SigmoidScores:
    """Every class on its own (Anchor DETR, deformable DETR): C = K."""

    has_no_object = False

    def num_logits(self, num_classes: int) -> int:
        """K."""
        return num_classes

    def __call__(self, class_logits: Tensor) -> Tensor:
        """The sigmoid of each."""
        return class_logits.sigmoid()


QUERY_SCORES: dict[str, QueryScores] = {"softmax": SoftmaxScores(), "focal": SigmoidScores()}
"""The values of ``MODEL.CRITERION.CLASS_LOSS`` that fit query heads."""


def query_scores(cfg: CfgNode) -> QueryScores:
    """The scores that belong to ``MODEL.CRITERION.CLASS_LOSS``.

    Raises:
        ConfigError: the loss is none for queries.
    """
    return look_up(QUERY_SCORES, cfg.MODEL.CRITERION.CLASS_LOSS, "MODEL.CRITERION.CLASS_LOSS")
