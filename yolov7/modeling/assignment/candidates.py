"""The candidate cells of all images, packed without padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """Every place of the batch that is a candidate of at least one object, each once.

    A *place* is ``image · P + prediction``. T candidates of the batch, ascending by place, so those
    of an image are neighbours.

    Attributes:
        place: ``(T,)`` int64.
        position: ``(B · P,)`` int64: which of the T a place is (arbitrary where it is none).
        first: ``(B,)`` int64: position of an image's first candidate.
        count: ``(B,)`` int64: number of candidates of an image.
        most: the largest of ``count``.
    """

    place: Tensor
    position: Tensor
    first: Tensor
    count: Tensor
    most: int

    def __len__(self) -> int:
        return self.place.shape[0]

    @staticmethod
    def pack(is_candidate: Tensor, count: Tensor, *, total: int, most: int) -> Candidates:
        """Number the candidates without asking the device how many there are.

        Args:
            is_candidate: ``(B, P)`` bool.
            count: ``(B,)`` int64, its sums over P.
            total: the sum of ``count``.
            most: the maximum of ``count``.
        """
        mask = is_candidate.flatten()
        position = mask.cumsum(0) - 1
        # Places that are no candidates all write to one slot behind the last.
        slots = torch.where(mask, position, total)
        places = torch.arange(mask.shape[0], device=mask.device)
        place = places.new_zeros(total + 1).scatter_(0, slots, places)[:total]
        return Candidates(place, position, count.cumsum(0) - count, count, most)

    def of_images(self, image_index: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Positions of the candidates of some images as a padded table.

        Args:
            image_index: ``(R,)`` images, one a row.
            width: columns of the table, at least ``most``.

        Returns:
            ``(R, width)`` positions, valid ones first, and ``(R, width)`` bool: which are valid.
        """
        column = torch.arange(width, device=image_index.device)
        valid = column < self.count[image_index, None]
        position = self.first[image_index, None] + column
        return position.clamp(max=max(len(self) - 1, 0)), valid
