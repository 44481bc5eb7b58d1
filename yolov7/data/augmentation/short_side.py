"""Resizing by the short side, as DETR sees pictures in training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from yolov7.data.augmentation.resize import ResizeTransform
from yolov7.data.augmentation.sample_input import Policy


def short_side_size(
    height: int, width: int, *, short_side: int, longest: int | None = None
) -> tuple[int, int]:
    """(height, width) whose short side is `short_side`, in DETR's rounding.

    Where the long side would exceed `longest`, the short side is `longest · short / long` instead,
    rounded (half to even, at least 1). The long side is truncated; a size that fits stays as it is.

    Args:
        height, width: of the picture.
        short_side: wanted.
        longest: bound of the long side, or None.
    """
    short, long = min(height, width), max(height, width)
    if longest is not None and long / short * short_side > longest:
        short_side = max(round(longest * short / long), 1)
    if short == short_side:
        return height, width
    new_long = int(short_side * long / short)
    return (short_side, new_long) if height <= width else (new_long, short_side)


class SmoothResizeTransform(ResizeTransform):
    """`ResizeTransform` whose pixels are averages when a picture shrinks, as Pillow's bilinear is.

    DETR's weights were trained on such pictures. For enlarging there is nothing to average, and the
    faster `ResizeTransform` gives the same up to rounding.
    """

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(height, width, C) uint8 to (new_height, new_width, C); the same array if equal."""
        if self.new_height >= self.height and self.new_width >= self.width:
            return super().apply_image(img)
        # One image of channels-last layout, which PyTorch resizes as it is, in uint8.
        planes = torch.from_numpy(np.ascontiguousarray(img)).permute(2, 0, 1)[None]
        size = (self.new_height, self.new_width)
        resized = functional.interpolate(planes, size, mode="bilinear", antialias=True)
        return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def resize_short_side(
    height: int, width: int, *, short_side: int, longest: int | None = None
) -> SmoothResizeTransform:
    """The transform of a (height, width) picture to `short_side_size`."""
    new_height, new_width = short_side_size(height, width, short_side=short_side, longest=longest)
    return SmoothResizeTransform(
        height=height, width=width, new_height=new_height, new_width=new_width
    )


class ResizeShortSide(Policy):
    """Resize so that the short side has one of some lengths.

    One draw, also of a single length: which.

    Args:
        short_sides: lengths, equally likely.
        longest: bound of the long side, see `short_side_size`.
    """

    def __init__(self, *, short_sides: Sequence[int], longest: int | None = None) -> None:
        super().__init__()
        self.short_sides = tuple(short_sides)
        self.longest = longest

    def get_transform(self, image: np.ndarray, rng: np.random.Generator) -> SmoothResizeTransform:
        """Transform for an (H, W, C) picture."""
        return self.draw(image.shape[0], image.shape[1], rng)

    def draw(self, height: int, width: int, rng: np.random.Generator) -> SmoothResizeTransform:
        """The same for a picture of which only the size is known."""
        short_side = self.short_sides[int(rng.integers(len(self.short_sides)))]
        return resize_short_side(height, width, short_side=short_side, longest=self.longest)
