"""Mirroring, with the meaning of detectron2's INPUT.RANDOM_FLIP."""

from __future__ import annotations

import cv2
import numpy as np
from fvcore.transforms.transform import HFlipTransform, NoOpTransform, VFlipTransform

from yolov7.d2 import Transform
from yolov7.data.augmentation.resize import to_cv2
from yolov7.data.augmentation.sample_input import Policy


class HorizontalFlip(HFlipTransform):
    """Left and right exchanged. Being an `HFlipTransform`, it also swaps keypoints' meaning.

    Args:
        width: width of the picture in pixels.
    """

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W[, C]) mirrored, as a contiguous array (a copied NumPy view is far slower)."""
        return _flip(img, 1)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(N, 2) points; the argument is left as it is."""
        return super().apply_coords(np.array(coords))


class VerticalFlip(VFlipTransform):
    """Top and bottom exchanged.

    Args:
        height: height of the picture in pixels.
    """

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(H, W[, C]) mirrored into a contiguous array."""
        return _flip(img, 0)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(N, 2) points; the argument is left as it is."""
        return super().apply_coords(np.array(coords))


def _flip(array: np.ndarray, axis: int) -> np.ndarray:
    return cv2.flip(to_cv2(array), axis).astype(array.dtype, copy=False).reshape(array.shape)


class RandomHorizontalFlip(Policy):
    """Mirror left to right with the given probability."""

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = probability

    def get_transform(self, image: np.ndarray, rng: np.random.Generator) -> Transform:
        """Transform for an (H, W, C) picture."""
        if rng.random() < self.probability:
            return HorizontalFlip(image.shape[1])
        return NoOpTransform()


class RandomVerticalFlip(Policy):
    """Mirror top to bottom with the given probability."""

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = probability

    def get_transform(self, image: np.ndarray, rng: np.random.Generator) -> Transform:
        """Transform for an (H, W, C) picture."""
        if rng.random() < self.probability:
            return VerticalFlip(image.shape[0])
        return NoOpTransform()


# Policies of each value of INPUT.RANDOM_FLIP.
RANDOM_FLIPS: dict[str, tuple[type[Policy], ...]] = {
    "none": (),
    "horizontal": (RandomHorizontalFlip,),
    "vertical": (RandomVerticalFlip,),
}
