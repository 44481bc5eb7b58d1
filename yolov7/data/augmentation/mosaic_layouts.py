"""Layouts of mosaics: how many pictures there are, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from yolov7.data.augmentation.resize import fitted_size


@dataclass(frozen=True)
class Placement:
    """Where one resized tile goes on the layout's canvas.

    Attributes:
        left, top: position of the tile's first column and row; may be negative.
        height, width: size of the resized tile.
    """

    left: int
    top: int
    height: int
    width: int


class MosaicLayout(Protocol):
    """How many tiles there are and where they go: the only thing that differs between mosaics."""

    num_tiles: int

    def canvas_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the canvas behind a mosaic of `size`."""

    def place(
        self,
        image_sizes: Sequence[tuple[int, int]],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> list[Placement]:
        """One placement for each of `num_tiles` (height, width) pictures."""


class FourTileLayout:
    """YOLOX's mosaic: four pictures meet with a corner at a random centre of a double canvas.

    Each is resized to fit into `size`; in the order top left, top right, bottom left, bottom
    right. The centre is a whole pixel, uniform in [0.5, 1.5) of the size.
    """

    num_tiles = 4

    def canvas_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Twice the size."""
        return 2 * size[0], 2 * size[1]

    def place(
        self,
        image_sizes: Sequence[tuple[int, int]],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> list[Placement]:
        """Draw the centre (row, then column) and put the four tiles around it."""
        center_y = int(rng.uniform(0.5 * size[0], 1.5 * size[0]))
        center_x = int(rng.uniform(0.5 * size[1], 1.5 * size[1]))
        placements = []
        for tile, (image_height, image_width) in enumerate(image_sizes):
            height, width = fitted_size(image_height, image_width, size)
            row, column = divmod(tile, 2)
            placements.append(
                Placement(
                    left=center_x if column else center_x - width,
                    top=center_y if row else center_y - height,
                    height=height,
                    width=width,
                )
            )
        return placements


class NineTileLayout:
    """YOLOv7's mosaic of nine: a middle picture and a ring of eight, seen through a random window.

    Each picture is resized to fit into `size`. The middle one comes first, with its top left corner
    at (width, height) of a canvas three times as large as `size`. The ring follows clockwise from
    the top: on each side of the middle one a first tile starts at the corner where the side begins,
    and a second one goes on along the side's line, past the next corner. The window is twice as
    large as `size`; its place is a whole pixel, uniform in [0, 1) of the size.
    """

    num_tiles = 9

    def canvas_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Twice the size: the window, not what it is cut from."""
        return 2 * size[0], 2 * size[1]

    def place(
        self,
        image_sizes: Sequence[tuple[int, int]],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> list[Placement]:
        """Draw the window's top, then left, and put the nine tiles, as seen from there."""
        window_y, window_x = int(rng.uniform(0, size[0])), int(rng.uniform(0, size[1]))
        sizes = [fitted_size(height, width, size) for height, width in image_sizes]
        top, left = size[0] - window_y, size[1] - window_x
        height, width = sizes[0]
        placements = [Placement(left=left, top=top, height=height, width=width)]
        # By side: the corner where it begins, whether its tiles lie right of that point, whether
        # below it, and whether they follow each other horizontally.
        sides = (
            (left, top, True, False, True),
            (left + width, top, True, True, False),
            (left + width, top + height, False, True, True),
            (left, top + height, False, False, False),
        )
        ring = iter(sizes[1:])
        for x, y, is_right, is_below, is_horizontal in sides:
            for _ in range(2):
                height, width = next(ring)
                placements.append(
                    Placement(
                        left=x if is_right else x - width,
                        top=y if is_below else y - height,
                        height=height,
                        width=width,
                    )
                )
                if is_horizontal:
                    x += width if is_right else -width
                else:
                    y += height if is_below else -height
        return placements


# Layouts by INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES.
MOSAIC_LAYOUTS: dict[int, type[MosaicLayout]] = {4: FourTileLayout, 9: NineTileLayout}
