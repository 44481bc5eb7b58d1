"""One label file of YOLO: an object a line, in parts of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yolov7.d2 import BoxMode
from yolov7.data.formats.file_names import read_lines
from yolov7.data.formats.record import Annotation
from yolov7.utils.errors import DatasetError

_XYWH = int(BoxMode.XYWH_ABS)
# Rounding may lead so far over the border; more means numbers that are not parts of the image.
_TOLERANCE = 1e-3


def read_labels(
    path: str, *, height: int, width: int, index_of_class: Mapping[int, int]
) -> list[Annotation]:
    """Read the objects of an image.

    A line is `class cx cy w h` (centre and size), or `class x1 y1 x2 y2 x3 y3 …` for a polygon of
    at least three points, whose hull becomes the box. All but the class are parts of the image's
    width or height, in [0, 1].

    Args:
        path: the text file.
        height, width: size of the image in pixels.
        index_of_class: class number of the data set -> class index.

    Returns:
        Annotations with boxes in XYWH_ABS, and a polygon as `segmentation` where the line has one.

    Raises:
        DatasetError: a line is malformed; file and line are named.
    """
    annotations: list[Annotation] = []
    for number, line in read_lines(path, "a label file"):
        words = line.split()
        try:
            label, values = _whole(words[0]), [float(word) for word in words[1:]]
        except ValueError as error:
            raise DatasetError(
                f"{path}, line {number}: expected a class number followed by numbers, got "
                f"'{line[:60]}'."
            ) from error
        problem = _problem(label, values, index_of_class)
        if problem:
            raise DatasetError(f"{path}, line {number}: {problem}")
        annotation: Annotation = {
            "bbox": [],
            "bbox_mode": _XYWH,
            "category_id": index_of_class[label],
            "iscrowd": 0,
        }
        if len(values) == 4:
            cx, cy, w, h = values
            annotation["bbox"] = [
                (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height
            ]  # fmt: skip
        else:
            xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
            x0, y0 = min(xs), min(ys)
            annotation["bbox"] = [x0, y0, max(xs) - x0, max(ys) - y0]
            polygon = [value for point in zip(xs, ys, strict=True) for value in point]
            annotation["segmentation"] = [polygon]
        annotations.append(annotation)
    return annotations


def _whole(text: str) -> int:
    """Read a class number; some programs write `3.0`."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"not a whole number: {text}")
    return int(value)


def _problem(label: int, values: Sequence[float], classes: Mapping[int, int]) -> str | None:
    """Say what is wrong with a line, or None."""
    if len(values) == 5:
        return (
            "6 numbers. A label has 5 (class cx cy w h); a prediction's confidence is none of them."
        )
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        return (
            f"{len(values) + 1} numbers; expected 5 (class cx cy w h), or a class and the x and y "
            "of at least three points."
        )
    if label not in classes:
        return f"class {label}, but data.yaml names the classes 0 to {len(classes) - 1}."
    # Written so that NaN is outside, too.
    outside = [v for v in values if not -_TOLERANCE <= v <= 1 + _TOLERANCE]
    if outside:
        return (
            f"{outside[0]:g} is outside [0, 1]. Coordinates are parts of the image's width and "
            "height, not pixels."
        )
    if len(values) == 4 and min(values[2:]) < 0:
        return f"a width or height below 0: {min(values[2:]):g}."
    return None
