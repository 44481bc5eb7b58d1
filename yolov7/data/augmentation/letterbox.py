"""Putting a picture on a canvas of given size, at the top left or in the middle."""

from __future__ import annotations

import numpy as np

from yolov7.d2 import Transform, TransformList
from yolov7.data.augmentation.resize import ResizeTransform, fitted_size
from yolov7.data.augmentation.sample_input import Policy


class CanvasTransform(Transform):
    """Put a picture at (left, top) of a canvas; what does not fit is cut off.

    Args:
        height, width: size of the picture.
        canvas_height, canvas_width: size of the result.
        top, left: where the picture's first row and column go; may be negative.
        fill: value of the canvas where the picture is not (segmentations: 0).
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        canvas_height: int,
        canvas_width: int,
        top: int = 0,
        left: int = 0,
        fill: float = 114.0,
    ) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.canvas_height, self.canvas_width = canvas_height, canvas_width
        self.top, self.left = top, left
        self.fill = fill

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """(height, width[, C]) to (canvas_height, canvas_width[, C])."""
        return self._place(img, self.fill)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(height, width) to (canvas_height, canvas_width), 0 outside the picture."""
        return self._place(segmentation, 0)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """(N, 2) points (x, y)."""
        return coords + np.array([self.left, self.top], dtype=np.float64)

    def inverse(self) -> CanvasTransform:
        """Cut the picture out of the canvas again; exact where nothing had been cut off."""
        return CanvasTransform(
            height=self.canvas_height,
            width=self.canvas_width,
            canvas_height=self.height,
            canvas_width=self.width,
            top=-self.top,
            left=-self.left,
            fill=self.fill,
        )

    def _place(self, array: np.ndarray, fill: float) -> np.ndarray:
        shape = (self.canvas_height, self.canvas_width, *array.shape[2:])
        if array.shape == shape and self.top == 0 and self.left == 0:
            return array
        canvas = np.full(shape, fill, dtype=array.dtype)
        rows, source_rows = _overlap(self.top, self.height, self.canvas_height)
        columns, source_columns = _overlap(self.left, self.width, self.canvas_width)
        canvas[rows, columns] = array[source_rows, source_columns]
        return canvas


def _overlap(start: int, length: int, canvas_length: int) -> tuple[slice, slice]:
    """Where [start, start + length) meets [0, canvas_length): on the canvas and in the source."""
    low = min(max(start, 0), canvas_length)
    high = max(min(start + length, canvas_length), low)
    return slice(low, high), slice(low - start, high - start)


class PadToSize(Policy):
    """Pad at the right and the bottom up to the wanted size."""

    def __init__(self, *, fill: float = 114.0) -> None:
        super().__init__()
        self.fill = fill

    def get_transform(self, image: np.ndarray, size: tuple[int, int]) -> CanvasTransform:
        """Transform for an (H, W, C) picture no larger than `size` (height, width)."""
        return CanvasTransform(
            height=image.shape[0],
            width=image.shape[1],
            canvas_height=size[0],
            canvas_width=size[1],
            fill=self.fill,
        )


class Letterbox(Policy):
    """Resize to fit, then pad to exactly the wanted size.

    Args:
        anchor: share of the padding that goes before the picture: 0 puts it at the top left
            (YOLOX), 0.5 in the middle (YOLOv7; an odd rest goes to the right and the bottom).
        fill: value of the padding.
    """

    def __init__(self, *, anchor: float = 0.0, fill: float = 114.0) -> None:
        super().__init__()
        self.anchor = anchor
        self.fill = fill

    def get_transform(self, image: np.ndarray, size: tuple[int, int]) -> TransformList:
        """Resize and placing of an (H, W, C) picture in `size` (height, width)."""
        height, width = image.shape[:2]
        new_height, new_width = fitted_size(height, width, size)
        resize = ResizeTransform(
            height=height, width=width, new_height=new_height, new_width=new_width
        )
        place = CanvasTransform(
            height=new_height,
            width=new_width,
            canvas_height=size[0],
            canvas_width=size[1],
            top=int((size[0] - new_height) * self.anchor),
            left=int((size[1] - new_width) * self.anchor),
            fill=self.fill,
        )
        return TransformList([resize, place])
