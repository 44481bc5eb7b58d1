"""Which classes a box is reported with.

A choice takes class logits ``(N, K)``, objectness ``(N,)`` in [0, 1] and a threshold. It gives
``rows`` ``(M,)`` int64 in [0, N), ascending, ``classes`` ``(M,)`` int64 and ``scores`` ``(M,)``,
the σ(class) · objectness that reach the threshold. Scores that are not a number never do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ClassChoice = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def best_class(
    class_logits: Tensor, objectness: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """A box is of its best class, or of none."""
    best, classes = class_logits.max(dim=1)
    scores = best.sigmoid() * objectness
    rows = torch.nonzero(scores >= threshold).squeeze(1)
    return rows, classes[rows], scores[rows]


def every_class(
    class_logits: Tensor, objectness: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """A box is reported once for each class whose score reaches the threshold."""
    scores = class_logits.sigmoid() * objectness[:, None]
    rows, classes = torch.nonzero(scores >= threshold, as_tuple=True)
    return rows, classes, scores[rows, classes]


CLASSES_PER_BOX: dict[str, ClassChoice] = {"best": best_class, "every": every_class}
"""The values of ``MODEL.CLASSES_PER_BOX``."""
