"""Where images of different sizes lie in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Placement:
    """Places of images in a batch.

    Attributes:
        batch_size: (height, width) of the padded frame.
        offsets: (x, y) of each image's top-left pixel in the frame.
    """

    batch_size: tuple[int, int]
    offsets: tuple[tuple[int, int], ...]


class Padding(Protocol):
    """What a detector asks of a padding rule; a pure function of the images' sizes."""

    def __call__(self, image_sizes: Sequence[tuple[int, int]]) -> Placement: ...


@dataclass(frozen=True)
class TopLeftPadding:
    """Images in the top-left corner; the frame is the smallest that fits all of them.

    Attributes:
        divisor: both sides of the frame are multiples of it.
    """

    divisor: int = 1

    def __call__(self, image_sizes: Sequence[tuple[int, int]]) -> Placement:
        """Place images of the given (height, width)."""
        height, width = (max(sides) for sides in zip(*image_sizes, strict=True))
        return Placement(
            batch_size=(_round_up(height, self.divisor), _round_up(width, self.divisor)),
            offsets=((0, 0),) * len(image_sizes),
        )


@dataclass(frozen=True)
class CenteredPadding:
    """Each image in the middle of the frame; an odd remaining pixel goes right or below.

    Attributes:
        divisor: both sides of the frame are multiples of it.
    """

    divisor: int = 1

    def __call__(self, image_sizes: Sequence[tuple[int, int]]) -> Placement:
        """Place images of the given (height, width)."""
        frame = TopLeftPadding(self.divisor)(image_sizes).batch_size
        offsets = tuple(((frame[1] - w) // 2, (frame[0] - h) // 2) for h, w in image_sizes)
        return Placement(batch_size=frame, offsets=offsets)


def _round_up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor
