"""Assigners, and their answer: which predictions answer for which objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets


@dataclass(frozen=True, eq=False)
class Assignment:
    """Pairs of a prediction and the object it answers for; the others are background or ignored.

    F pairs of the whole batch, ordered by image. Whether a prediction may answer for several
    objects, or for one repeatedly, is the assigner's matter: with SimOTA it never does.

    Attributes:
        image_index: ``(F,)`` int64 image of the batch.
        prediction_index: ``(F,)`` int64 in ``[0, P)``, the order of ``DensePredictions``.
        target_index: ``(F,)`` int64 in ``[0, M)``, the order of ``Targets``.
        matched_iou: ``(F,)`` IoU of the decoded prediction and its object.
        ignored: ``(B, P)`` bool: predictions without a pair that are not background either, so
            that their objectness is not trained; None for none.
    """

    image_index: Tensor
    prediction_index: Tensor
    target_index: Tensor
    matched_iou: Tensor
    ignored: Tensor | None = None

    def __len__(self) -> int:
        return self.image_index.shape[0]

    def without_ignored(self, losses: Tensor) -> Tensor:
        """Losses ``(B, P)`` of the predictions' objectness, 0 where it is ignored."""
        return losses if self.ignored is None else losses.masked_fill(self.ignored, 0)

    @staticmethod
    def empty(device: torch.device | str, dtype: torch.dtype) -> Assignment:
        """No pairs at all; ``dtype`` is that of ``matched_iou``."""
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return Assignment(none, none, none, torch.zeros(0, dtype=dtype, device=device))


Assigner = Callable[[DensePredictions, Tensor, Targets], Assignment]
"""Called with predictions, their decoded boxes ``(B, P, 4)`` and targets."""
