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
        ignored: ``(B, P)`` bool: predictions that are not background but taught no object either,
            so that their objectness is not trained; None for none.
    """

    image_index: Tensor
    prediction_index: Tensor
    target_index: Tensor
    matched_iou: Tensor
    ignored: Tensor | None = None

    def __len__(self) -> int:
        return self.image_index.shape[0]

    def without_ignored(self, losses: Tensor) -> Tensor:
        """Losses ``(B, P)`` of what says whether there is an object, 0 where that is ignored."""
        return losses if self.ignored is None else losses.masked_fill(self.ignored, 0)

    @staticmethod
    def empty(device: torch.device | str, dtype: torch.dtype) -> Assignment:
        """No pairs at all; ``dtype`` is that of ``matched_iou``."""
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return Assignment(none, none, none, torch.zeros(0, dtype=dtype, device=device))


Assigner = Callable[[DensePredictions, Tensor, Targets], Assignment]
"""Called with predictions, their decoded boxes ``(B, P, 4)`` and targets."""


def last_pairs(
    image_index: Tensor, prediction_index: Tensor, predictions: DensePredictions
) -> Tensor:
    """The last pair of each prediction, where several pairs may have one.

    Args:
        image_index, prediction_index: ``(F,)`` of the pairs.
        predictions: of B images.

    Returns:
        ``(B, P)`` int64 in ``[0, F)``, -1 for none. (Writing by index instead would leave it to the
        device which pair stays.)
    """
    place = image_index * predictions.num_predictions + prediction_index
    turn = torch.arange(len(place), device=place.device)
    last = place.new_full((predictions.num_images * predictions.num_predictions,), -1)
    last.scatter_reduce_(0, place, turn, "amax")
    return last.view(predictions.num_images, predictions.num_predictions)
