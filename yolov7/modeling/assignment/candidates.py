"""The candidate cells of all images, packed without padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """The places of the batch that are candidates of objects, some of them perhaps repeatedly.

    A *place* is ``image · P + prediction``. T candidates of the batch, ascending by place, so those
    of an image are neighbours.

    Attributes:
        place: ``(T,)`` int64.
        position: ``(B · P,)`` int64: which of the T a place is, the first one (arbitrary where it
            is none).
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
    def pack(copies: Tensor, count: Tensor, *, total: int, most: int) -> Candidates:
        """Number the candidates without asking the device how many there are.

        Args:
            copies: ``(B, P)`` bool or int64, how often each place is a candidate.
            count: ``(B,)`` int64, its sums over P.
            total: the sum of ``count``.
            most: the maximum of ``count``.
        """
        copies = copies.flatten().long()
        place = torch.repeat_interleave(copies, output_size=total)
        # Where there is none, the candidate before: safe to index with.
        position = copies.cumsum(0) - copies.clamp(min=1)
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
