"""MixUp: a mosaic blended with another picture; YOLOX's is randomly enlarged or shrunk."""

from __future__ import annotations

import cv2
import numpy as np

from yolov7.data.augmentation.resize import fitted_size
from yolov7.data.augmentation.warp import WarpTransform, scaling, translation


def blend(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """weight * first + (1 - weight) * second, rounded; (H, W, C) uint8 each."""
    return cv2.addWeighted(first, weight, second, 1.0 - weight, 0.0)


class MixUp:
    """Equal mixture with a second picture.

    The second picture is letterboxed (top left, `fill`) into the size, the square so made is
    resized by a factor, mirrored with probability one half, put at the top left of a black canvas
    at least as large as the result, and cut to the result at a random place where it is larger.
    All of this is one warp.

    Args:
        scale: (lowest, highest) factor.
        probability: that a mosaic is mixed at all.
        fill: value of the letterbox.
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.5, 1.5),
        probability: float = 1.0,
        fill: float = 114.0,
    ) -> None:
        self.scale = (float(scale[0]), float(scale[1]))
        self.probability = probability
        self.fill = fill

    def get_transforms(
        self, image_size: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[WarpTransform, tuple[int, int, int, int]]:
        """Draw factor, mirroring and place.

        Args:
            image_size: (height, width) of the second picture.
            size: (height, width) of the result.

        Returns:
            the map from the second picture to the result, and the xyxy region of the result that
            the resized square covers (whole pixels, from the top left).
        """
        height, width = size
        factor = rng.uniform(*self.scale)
        mirrored = rng.random() < 0.5
        square_height, square_width = max(int(height * factor), 1), max(int(width * factor), 1)
        top = -int(rng.integers(square_height - height)) if square_height > height else 0
        left = -int(rng.integers(square_width - width)) if square_width > width else 0
        fitted_height, fitted_width = fitted_size(*image_size, size)
        matrix = scaling(square_width / width, square_height / height) @ scaling(
            fitted_width / image_size[1], fitted_height / image_size[0]
        )
        if mirrored:
            matrix = translation(square_width, 0) @ scaling(-1.0, 1.0) @ matrix
        transform = WarpTransform(
            matrix=translation(left, top) @ matrix,
            source_size=image_size,
            size=size,
            fill=self.fill,
        )
        covered = (0, 0, min(left + square_width, width), min(top + square_height, height))
        return transform, covered

    def compose(
        self,
        first: np.ndarray,
        second: np.ndarray,
        transform: WarpTransform,
        covered: tuple[int, int, int, int],
    ) -> np.ndarray:
        """Draw the second picture and mix.

        Args:
            first: (H, W, C) uint8, the mosaic.
            second: (h, w, C) uint8.
            transform, covered: from `get_transforms`.

        Returns:
            (H, W, C) uint8, half of each, rounded.
        """
        canvas = np.zeros_like(first)
        x0, y0, x1, y1 = covered
        square = canvas[y0:y1, x0:x1]
        square[:] = self.fill
        transform.paint(square, second)
        return blend(first, canvas, 0.5)
