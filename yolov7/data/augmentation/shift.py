"""Shifting a picture by some pixels, as YOLOF does."""

from __future__ import annotations

import numpy as np
from fvcore.transforms.transform import NoOpTransform

from yolov7.d2 import Transform
from yolov7.data.augmentation.letterbox import CanvasTransform
from yolov7.data.augmentation.sample_input import Policy


class RandomShift(Policy):
    """Move the picture within its frame with the given probability; what is vacated is black.

    Args:
        pixels: shifts of each axis are whole numbers from -pixels to pixels - 1.
        probability: of a shift.
    """

    def __init__(self, *, pixels: int = 32, probability: float = 0.5) -> None:
        super().__init__()
        self.pixels = pixels
        self.probability = probability

    def get_transform(self, image: np.ndarray, rng: np.random.Generator) -> Transform:
        """Transform for an (H, W, C) picture."""
        if rng.random() >= self.probability:
            return NoOpTransform()
        left, top = (int(shift) for shift in rng.integers(-self.pixels, self.pixels, size=2))
        height, width = image.shape[:2]
        return CanvasTransform(
            height=height,
            width=width,
            canvas_height=height,
            canvas_width=width,
            top=top,
            left=left,
            fill=0.0,
        )
