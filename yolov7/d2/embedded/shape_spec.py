"""`ShapeSpec`: what is known of a feature map before it exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ShapeSpec:
    """Shape of a feature map; `None` is unknown.

    Attributes:
        channels: number of channels.
        height, width: size in cells.
        stride: input pixels per cell.
    """

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None
