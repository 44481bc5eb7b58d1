"""Mosaic: several pictures on one canvas, warped together, each by a single warp."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from yolov7.data.augmentation.affine import (
    AffineDistribution,
    matrix_about_origin,
    matrix_between_centers,
)
from yolov7.data.augmentation.mosaic_layouts import MosaicLayout
from yolov7.data.augmentation.warp import WarpTransform, scaling, translation

CanvasMap = Callable[..., np.ndarray]

# What stays where it is when a mosaic is scaled or turned, by INPUT.MOSAIC_AND_MIXUP.WARP_ABOUT.
CANVAS_MAPS: dict[str, CanvasMap] = {
    "origin": matrix_about_origin,
    "center": matrix_between_centers,
}


class Mosaic:
    """Maps of the tiles' pictures straight to the finished mosaic.

    Resizing, placing on the layout's canvas and the random warp of that canvas are composed into
    one matrix a tile, so no pixel is interpolated twice and the large canvas never exists. A tile
    shows what of it lies on the layout's canvas, as if it had been pasted there.

    Args:
        layout: number and places of the tiles.
        distribution: of the warp from the layout's canvas to the picture.
        canvas_map: makes that warp's matrix, as `matrix_about_origin` (YOLOX) and
            `matrix_between_centers` (YOLOv7) do.
        fill: value where no tile is.
    """

    def __init__(
        self,
        *,
        layout: MosaicLayout,
        distribution: AffineDistribution,
        canvas_map: CanvasMap = matrix_about_origin,
        fill: float = 114.0,
    ) -> None:
        self.layout = layout
        self.distribution = distribution
        self.canvas_map = canvas_map
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
        canvas_to_result = self.canvas_map(
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


class MosaicMixture:
    """Several kinds of mosaics, one of which is drawn for each sample (YOLOv7: four or nine tiles).

    Args:
        mosaics: the kinds, at least one.
        probabilities: one for each, together 1. For a single kind nothing is drawn.
    """

    def __init__(self, *, mosaics: Sequence[Mosaic], probabilities: Sequence[float]) -> None:
        self.mosaics = list(mosaics)
        self.probabilities = [float(probability) for probability in probabilities]

    def draw(self, rng: np.random.Generator) -> Mosaic:
        """One of the kinds."""
        if len(self.mosaics) == 1:
            return self.mosaics[0]
        return self.mosaics[int(rng.choice(len(self.mosaics), p=self.probabilities))]
