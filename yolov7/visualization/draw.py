"""Drawing on pictures: every function returns a new image and leaves its arguments alone.

Images are (H, W, 3) uint8 of any channel order; colours are given in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from yolov7.visualization.colors import Color, text_color
from yolov7.visualization.tags import place_tags, render_text


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    *,
    colors: Sequence[Color],
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """Draw the frames of boxes, and their labels on top of all frames.

    Lines and letters grow with the picture. A frame covers the outermost pixels of its box; parts
    outside the image are not drawn, nor is a label whose box lies outside altogether.

    Args:
        image: (H, W, 3) uint8.
        boxes: (N, 4) xyxy pixels; later boxes are drawn over earlier ones.
        colors: N colours.
        labels: N texts; an empty text gives no tag.

    Returns:
        A new image of the same shape.

    Raises:
        ValueError: an argument of the wrong kind or length, or a box with NaN or infinity.
    """
    boxes = _check_boxes(boxes)
    count = len(boxes)
    _check_lengths(count, colors=colors, labels=[""] * count if labels is None else labels)
    drawn = check_image(image).copy()
    height, width = drawn.shape[:2]
    thickness = line_thickness((height, width))
    for box, color in zip(boxes, colors, strict=True):
        left, top, right, bottom = _outer_pixels(box)
        inner_left, inner_right = left + thickness, max(right - thickness, left)
        inner_top, inner_bottom = top + thickness, max(bottom - thickness, top)
        # Slices do not reach beyond the image; a side beyond it has an empty slice.
        rows, columns = _inside(top, bottom, height), _inside(left, right, width)
        drawn[_inside(top, min(inner_top, bottom), height), columns] = color
        drawn[_inside(inner_bottom, bottom, height), columns] = color
        drawn[rows, _inside(left, min(inner_left, right), width)] = color
        drawn[rows, _inside(inner_right, right, width)] = color
    if labels is None or not count:
        return drawn
    return _draw_tags(drawn, boxes, labels, colors)


def draw_masks(
    image: np.ndarray, masks: np.ndarray, *, colors: Sequence[Color], alpha: float = 0.45
) -> np.ndarray:
    """Tint the pixels of masks, and draw each mask's rim in full colour.

    Args:
        image: (H, W, 3) uint8.
        masks: (N, H, W) bool; later masks are drawn over earlier ones.
        colors: N colours.
        alpha: weight of the colour inside the rim, in [0, 1].

    Returns:
        A new image of the same shape.

    Raises:
        ValueError: an argument of the wrong kind, shape or length.
    """
    drawn = check_image(image).copy()
    masks = np.asarray(masks)
    if masks.dtype != np.bool_ or masks.ndim != 3 or masks.shape[1:] != drawn.shape[:2]:
        raise ValueError(
            f"masks must be bool (N, {drawn.shape[0]}, {drawn.shape[1]}) as the image, "
            f"got {masks.dtype} {masks.shape}"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    _check_lengths(len(masks), colors=colors)
    thickness = max(1, line_thickness(drawn.shape[:2]) // 2)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for mask, color in zip(masks, colors, strict=True):
        inner = cv2.erode(mask.astype(np.uint8), cross, iterations=thickness).astype(bool)
        tinted = (1 - alpha) * drawn[inner] + alpha * np.array(color, np.float64)
        drawn[inner] = np.rint(tinted).astype(np.uint8)
        drawn[mask & ~inner] = color
    return drawn


def image_grid(
    images: Sequence[np.ndarray], *, columns: int | None = None, gap: int = 4
) -> np.ndarray:
    """Lay pictures out in rows on white, each centred in its cell.

    Args:
        images: (h, w, 3) uint8, at least one; sizes may differ.
        columns: pictures a row; None makes the grid about square.
        gap: pixels between pictures.
    """
    if not images:
        raise ValueError("image_grid needs at least one image")
    images = [check_image(image) for image in images]
    columns = columns or math.ceil(math.sqrt(len(images)))
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    cell_height = max(image.shape[0] for image in images)
    cell_width = max(image.shape[1] for image in images)
    height = rows * (cell_height + gap) - gap
    width = columns * (cell_width + gap) - gap
    grid = np.full((height, width, 3), 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top = row * (cell_height + gap) + (cell_height - image.shape[0]) // 2
        left = column * (cell_width + gap) + (cell_width - image.shape[1]) // 2
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Put a line of black text on a white strip above a picture; too long a text is shortened.

    Args:
        image: (H, W, 3) uint8.
        text: one line.

    Returns:
        A new, higher picture of the same width.
    """
    size = font_size(check_image(image).shape[:2])
    opacity = render_text(text, size, image.shape[1])
    strip = np.ones((opacity.shape[0], image.shape[1]), np.float32)
    strip[:, : opacity.shape[1]] -= opacity
    strip = np.rint(255 * strip).astype(np.uint8)
    return np.concatenate([np.repeat(strip[..., None], 3, axis=2), image])


def check_image(image: np.ndarray) -> np.ndarray:
    """Return `image` if it is (H, W, 3) uint8 and not empty; else raise ValueError."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the image must be a NumPy array, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"the image must be (H, W, 3), got {image.shape}; "
            "turn grey pictures into colour first: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
        )
    if image.dtype != np.uint8:
        raise ValueError(f"the image must be uint8 with values 0 to 255, got {image.dtype}")
    return image


def line_thickness(image_size: tuple[int, int]) -> int:
    """Give the width of a frame's lines for a picture of (height, width) pixels."""
    return max(1, round(_unit(image_size) * 2.2))


def font_size(image_size: tuple[int, int]) -> int:
    """Give the size of a tag's letters for a picture of (height, width) pixels."""
    return max(9, round(13 * _unit(image_size) ** 0.8))


def _unit(image_size: tuple[int, int]) -> float:
    """Compare a picture's size with 640 by 640 pixels."""
    return math.sqrt(image_size[0] * image_size[1]) / 640


def _draw_tags(
    drawn: np.ndarray, boxes: np.ndarray, labels: Sequence[str], colors: Sequence[Color]
) -> np.ndarray:
    """Draw the labels into `drawn`, and return it."""
    height, width = drawn.shape[:2]
    shown = [
        index
        for index, (left, top, right, bottom) in enumerate(boxes)
        if labels[index] and left < width and top < height and right > 0 and bottom > 0
    ]
    size = font_size((height, width))
    texts = [render_text(labels[index], size, width)[:height] for index in shown]
    places = place_tags(boxes[shown], [text.shape for text in texts], (height, width))
    for index, text, (left, top, right, bottom) in zip(shown, texts, places, strict=True):
        background = np.array(colors[index], np.float32)
        foreground = np.array(text_color(colors[index]), np.float32)
        tag = background + text[..., None] * (foreground - background)
        drawn[top:bottom, left:right] = np.rint(tag).astype(np.uint8)
    return drawn


def _outer_pixels(box: np.ndarray) -> tuple[int, int, int, int]:
    """Round a box to whole pixels, at least one a side: left, top, right and bottom (excluded)."""
    left, top, right, bottom = (round(float(value)) for value in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _inside(start: int, stop: int, length: int) -> slice:
    return slice(min(max(start, 0), length), min(max(stop, 0), length))


def _check_boxes(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4) xyxy, got {boxes.shape}")
    if not np.isfinite(boxes).all():
        raise ValueError("boxes must be finite numbers")
    return boxes


def _check_lengths(count: int, **arguments: Sequence[object]) -> None:
    for name, values in arguments.items():
        if len(values) != count:
            raise ValueError(f"expected {count} {name}, one each, got {len(values)}")
