"""Resizing with OpenCV: the only place that decides how a picture is fitted into a size."""

from __future__ import annotations

import cv2
import numpy as np

from yolov7.d2 import Transform
from yolov7.data.augmentation.sample_input import Policy


def fitted_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Largest (height, width) of the same aspect inside `size`, sides truncated, at least 1.

    The ratio is min(size[0] / height, size[1] / width), up or down, as in YOLOX.
    """
    ratio = min(size[0] / height, size[1] / width)
    return max(int(height * ratio), 1), max(int(width * ratio), 1)


class ResizeTransform(Transform):
    """Resize (height, width) to (new_height, new_width).

    Pictures bilinearly (no averaging when shrinking, as the weights of the YOLO families expect),
    segmentations by nearest pixel, coordinates by the exact ratio of the two sizes.
    """

    def __init__(self, *, height: int, width: int, new_height: int, new_width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.new_height, self.new_width = new_height, new_width

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(height, width[, C]) to (new_height, new_width[, C]); the same array if equal."""
        if (self.height, self.width) == (self.new_height, self.new_width):
            return img
        return _resize(img, self.new_width, self.new_height, cv2.INTER_LINEAR)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(N, 2) points (x, y)."""
        return coords * np.array([self.new_width / self.width, self.new_height / self.height])

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(height, width) of integers or bool."""
        # INTER_NEAREST would take the pixel left of the centre; the exact variant does not.
        return _resize(segmentation, self.new_width, self.new_height, cv2.INTER_NEAREST_EXACT)

    def inverse(self) -> ResizeTransform:
        """The resize back to (height, width)."""
        return ResizeTransform(
            height=self.new_height,
            width=self.new_width,
            new_height=self.height,
            new_width=self.width,
        )


def _resize(array: np.ndarray, width: int, height: int, interpolation: int) -> np.ndarray:
    """cv2.resize for any integer, bool or float array, keeping dtype and a last axis of 1."""
    plain = to_cv2(array)
    resized = cv2.resize(plain, (width, height), interpolation=interpolation)
    return resized.astype(array.dtype, copy=False).reshape((height, width, *array.shape[2:]))


def to_cv2(array: np.ndarray) -> np.ndarray:
    """The array in a dtype and layout OpenCV knows: bool as 0/1 bytes, wide integers as int32."""
    if array.dtype == bool:
        return np.ascontiguousarray(array).view(np.uint8)
    if array.dtype in (np.int64, np.uint64, np.uint32):
        return array.astype(np.int32)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return np.ascontiguousarray(array)


class ResizeToFit(Policy):
    """Resize so that the picture just fits into the wanted size, keeping its aspect."""

    def get_transform(self, image: np.ndarray, size: tuple[int, int]) -> ResizeTransform:
        """Transform for an (H, W, C) picture and a (height, width) to fit into."""
        height, width = image.shape[:2]
        new_height, new_width = fitted_size(height, width, size)
        return ResizeTransform(
            height=height, width=width, new_height=new_height, new_width=new_width
        )


class ResizeToSize(Policy):
    """Resize to exactly the wanted size, whatever becomes of the aspect."""

    def get_transform(self, image: np.ndarray, size: tuple[int, int]) -> ResizeTransform:
        """Transform for an (H, W, C) picture and the (height, width) it shall have."""
        height, width = image.shape[:2]
        return ResizeTransform(height=height, width=width, new_height=size[0], new_width=size[1])
