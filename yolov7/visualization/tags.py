"""Name tags of boxes: where they go, and how they look."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom excluded


def place_tags(
    boxes: np.ndarray, sizes: Sequence[tuple[int, int]], image_size: tuple[int, int]
) -> list[Rectangle]:
    """Find a place inside the image for the tag of every box.

    Preferred is the outer top left corner, then the inner one, then the outer and the inner bottom
    left corner; the first that overlaps no earlier tag is taken, else the one that overlaps least.

    Args:
        boxes: (N, 4) xyxy pixels.
        sizes: (height, width) of each tag, at most the image's.
        image_size: (height, width).
    """
    height, width = image_size
    placed: list[Rectangle] = []
    for box, (tag_height, tag_width) in zip(boxes, sizes, strict=True):
        left = int(np.clip(round(float(box[0])), 0, width - tag_width))
        top, bottom = round(float(box[1])), round(float(box[3]))
        candidates = [
            (left, place, left + tag_width, place + tag_height)
            for place in (top - tag_height, top, bottom, bottom - tag_height)
            if 0 <= place <= height - tag_height
        ]
        if not candidates:
            place = int(np.clip(top, 0, height - tag_height))
            candidates = [(left, place, left + tag_width, place + tag_height)]
        placed.append(
            min(candidates, key=lambda tag: sum(_overlap(tag, other) for other in placed))
        )
    return placed


def _overlap(first: Rectangle, second: Rectangle) -> int:
    """Count the pixels that two rectangles share."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0) * max(height, 0)


@functools.lru_cache(maxsize=4096)
def render_text(text: str, font_size: int, max_width: int) -> np.ndarray:
    """Draw one line of text as opacity, with a margin; shorten it if it is too wide.

    Args:
        font_size: height of the letters' em square, in pixels.
        max_width: of the result.

    Returns:
        (h, w) float32 in [0, 1], not to be written to; h depends on `font_size` only.
    """
    font = _font(font_size)
    margin = max(1, round(0.25 * font_size))
    shown = text
    while len(shown) > 1 and font.getlength(shown) + 2 * margin > max_width:
        shown = shown.rstrip("…")[:-1] + "…"
    ascent, descent = font.getmetrics()
    size = (min(max_width, int(np.ceil(font.getlength(shown))) + 2 * margin), ascent + descent)
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).text((margin, 0), shown, fill=255, font=font)
    opacity = np.asarray(canvas, np.float32) / 255
    opacity.setflags(write=False)
    return opacity


@functools.lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load DejaVu Sans, which knows most alphabets, from matplotlib's files."""
    spec = importlib.util.find_spec("matplotlib")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        file = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)
