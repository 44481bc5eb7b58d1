"""Mosaic: several pictures on one canvas, warped together (YOLOX), each by a single warp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from yolov7.data.augmentation.affine import AffineDistribution, matrix_about_origin
from yolov7.data.augmentation.resize import fitted_size
from yolov7.data.augmentation.warp import WarpTransform, scaling, translation


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


# Layouts by INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES.
MOSAIC_LAYOUTS: dict[int, type] = {4: FourTileLayout}


class Mosaic:
    """Maps of the tiles' pictures straight to the finished mosaic.

    Resizing, placing on the layout's canvas and the random warp of that canvas are composed into
    one matrix a tile, so no pixel is interpolated twice and the large canvas never exists. A tile
    shows what of it lies on the layout's canvas, as if it had been pasted there.

    Args:
        layout: number and places of the tiles.
        distribution: of the warp from the layout's canvas to the picture (about its origin).
        fill: value where no tile is.
    """

    def __init__(
        self, *, layout: MosaicLayout, distribution: AffineDistribution, fill: float = 114.0
    ) -> None:
        self.layout = layout
        self.distribution = distribution
        self.fill = fill

    def get_transforms(
        self,
        image_sizes: Sequence[tuple[int, int]],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> list[WarpTransform]:
        """Draw a mosaic.

        Args:
            image_sizes: (height, width) of the `layout.num_tiles` pictures.
            size: (height, width) of the result.

        Returns:
            One transform a picture; `crop` is the part of the picture on the layout's canvas, and
            may be empty.
        """
        placements = self.layout.place(image_sizes, size, rng)
        canvas_size = self.layout.canvas_size(size)
        canvas_to_result = matrix_about_origin(
            self.distribution.draw(rng), source_size=canvas_size, size=size
        )
        transforms = []
        for placement, (height, width) in zip(placements, image_sizes, strict=True):
            x_scale, y_scale = placement.width / width, placement.height / height
            tile_to_canvas = translation(placement.left, placement.top) @ scaling(x_scale, y_scale)
            # The canvas, seen from the picture.
            x0, x1 = np.clip(
                (np.array([0, canvas_size[1]]) - placement.left) / x_scale, 0, width
            ).tolist()
            y0, y1 = np.clip(
                (np.array([0, canvas_size[0]]) - placement.top) / y_scale, 0, height
            ).tolist()
            transforms.append(
                WarpTransform(
                    matrix=canvas_to_result @ tile_to_canvas,
                    source_size=(height, width),
                    size=size,
                    fill=self.fill,
                    crop=(x0, y0, x1, y1),
                )
            )
        return transforms

    def compose(
        self,
        images: Sequence[np.ndarray],
        transforms: Sequence[WarpTransform],
        size: tuple[int, int],
    ) -> np.ndarray:
        """Draw tiles; those that are not visible may be left out.

        Args:
            images: (h, w, 3) uint8 each.
            transforms: those of the images, from `get_transforms`.
            size: (height, width) of the result.

        Returns:
            (height, width, 3) uint8.
        """
        canvas = np.full((*size, 3), self.fill, dtype=np.uint8)
        for image, transform in zip(images, transforms, strict=True):
            transform.paint(canvas, image)
        return canvas
