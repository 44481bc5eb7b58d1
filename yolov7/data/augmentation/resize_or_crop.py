"""DETR's augmentation in training: a resized picture, or a resized part of it."""

from __future__ import annotations

import numpy as np

from yolov7.d2 import TransformList
from yolov7.data.augmentation.letterbox import CanvasTransform
from yolov7.data.augmentation.sample_input import Policy
from yolov7.data.augmentation.short_side import ResizeShortSide


class ResizeOrCrop(Policy):
    """Resize to one of many sizes; with `probability` only a part of the picture.

    The part is cut out of the picture after it was resized by `before_crop`, and then resized like
    a whole picture (DETR, arXiv:2005.12872, section 4). Draws, in this order: whether to crop; if
    so, the size before the crop, the part's width and height, each uniform in
    [low, min(side, high)], its left and top edge; then the final size. What of an object is
    outside the part is for whoever holds the objects to cut off.

    Args:
        resize: of whole pictures and parts.
        before_crop: makes the picture out of which a part is cut.
        crop: (low, high) lengths of the part's sides in pixels; of a shorter picture all is kept.
        probability: of cropping.
    """

    def __init__(
        self,
        *,
        resize: ResizeShortSide,
        before_crop: ResizeShortSide,
        crop: tuple[int, int] = (384, 600),
        probability: float = 0.5,
    ) -> None:
        super().__init__()
        self.resize = resize
        self.before_crop = before_crop
        self.crop = crop
        self.probability = probability

    def get_transform(self, image: np.ndarray, rng: np.random.Generator) -> TransformList:
        """Transform for an (H, W, C) picture."""
        height, width = image.shape[:2]
        if not rng.random() < self.probability:
            return TransformList([self.resize.draw(height, width, rng)])
        first = self.before_crop.draw(height, width, rng)
        cut = self._draw_part(first.new_height, first.new_width, rng)
        return TransformList(
            [first, cut, self.resize.draw(cut.canvas_height, cut.canvas_width, rng)]
        )

    def _draw_part(self, height: int, width: int, rng: np.random.Generator) -> CanvasTransform:
        low, high = self.crop
        part_width, part_height = (
            int(rng.integers(min(low, side), min(side, high), endpoint=True))
            for side in (width, height)
        )
        left = int(rng.integers(width - part_width, endpoint=True))
        top = int(rng.integers(height - part_height, endpoint=True))
        return CanvasTransform(
            height=height,
            width=width,
            canvas_height=part_height,
            canvas_width=part_width,
            top=-top,
            left=-left,
        )
