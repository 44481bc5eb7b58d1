"""What all kinds of suppression take and give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Kept(NamedTuple):
    """The M detections that stay of N candidates, best first.

    Attributes:
        index: ``(M,)`` int64, the candidate that each stems from: its class, and whatever else
            belongs to it. Of a fused detection the best candidate.
        boxes: ``(M, 4)`` xyxy in the candidates' dtype.
        scores: ``(M,)`` in the candidates' dtype.
    """

    index: Tensor
    boxes: Tensor
    scores: Tensor

    def best(self, most: int | None, lowest: float) -> Kept:
        """The best ``most`` with a score of at least ``lowest``; equal scores keep their order."""
        order = self.scores.argsort(descending=True, stable=True)
        order = order[self.scores[order] >= lowest][:most]
        return Kept(self.index[order], self.boxes[order], self.scores[order])


@dataclass(frozen=True)
class Sources:
    """Which of several views or models found each candidate.

    Attributes:
        index: ``(N,)`` int64 in [0, S).
        weights: how much each of the S sources counts, above 0.
    """

    index: Tensor
    weights: tuple[float, ...]

    @classmethod
    def of_parts(cls, parts: Sequence[Tensor], weights: Sequence[float] | None = None) -> Sources:
        """Those of candidates that stand one source after another.

        Args:
            parts: a tensor ``(N_s, …)`` of each source's candidates, on their device.
            weights: of each source; 1 by default.
        """
        index = [
            torch.full((len(part),), source, dtype=torch.int64, device=part.device)
            for source, part in enumerate(parts)
        ]
        return cls(torch.cat(index), tuple(weights or [1.0] * len(parts)))

    def __getitem__(self, rows: Tensor) -> Sources:
        """Those of some of the candidates."""
        return Sources(self.index[rows], self.weights)


NMS = Callable[..., Kept]
"""``(boxes, scores, classes, threshold, *, sources=None, most=None, lowest=0.0) -> Kept``.

Args:
    boxes: ``(N, 4)`` xyxy, finite.
    scores: ``(N,)``, at least 0.
    classes: ``(N,)`` int64, at least 0.
    threshold: the IoU (DIoU) above which two boxes are taken for the same object.
    sources: of candidates of several views or models; only fusion looks at them.
    most: most detections that are wanted; None for all.
    lowest: detections whose score, after all changes, is lower are left out.
"""
