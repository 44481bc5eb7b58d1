"""One xml file of Pascal VOC."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

from yolov7.d2 import BoxMode
from yolov7.data.formats.record import Annotation
from yolov7.utils.errors import DatasetError

# A plain number is equal to the enum's member, and unpickled by workers in a third of the time.
_XYXY = int(BoxMode.XYXY_ABS)
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def parse_xml(path: str) -> ET.Element:
    """Parse a file; nothing that it refers to is read.

    Raises:
        DatasetError: it is missing, no well-formed xml (line and column are named), or has
            another root than `<annotation>`.
    """
    try:
        root = ET.fromstring(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            f"Cannot read annotation file {path}: {error.strerror or error}."
        ) from error
    except ET.ParseError as error:
        line, column = error.position
        problem = str(error).split(": line ")[0]
        raise DatasetError(
            f"{path}, line {line}, column {column + 1}: not valid XML ({problem}). "
            "The file may be cut off; fetch or export it again."
        ) from error
    except (ValueError, LookupError) as error:
        raise DatasetError(f"{path}: its encoding is not understood ({error}).") from error
    if root.tag != "annotation":
        raise DatasetError(f"{path}: expected <annotation> at the top, got <{root.tag}>.")
    return root


def declared_size(root: ET.Element, path: str) -> tuple[int, int] | None:
    """Read (height, width) in pixels; None when one of them is missing or 0.

    Raises:
        DatasetError: one of them is no whole number from 0.
    """
    size: list[int] = []
    for tag in ("height", "width"):
        text = root.findtext(f"size/{tag}") or "0"
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value >= 0 and value.is_integer()):
            raise DatasetError(
                f"{path}: <{tag}> of the image is '{text}'; expected a whole number of pixels, "
                "or 0 to have it read from the image."
            )
        size.append(int(value))
    return None if 0 in size else (size[0], size[1])


def read_objects(
    root: ET.Element, path: str, *, first_pixel: int
) -> tuple[list[Annotation], list[str]]:
    """Read the objects of a file.

    Args:
        root: the parsed file.
        path: its name, for errors.
        first_pixel: what is subtracted from xmin and ymin to make edges of them.

    Returns:
        Annotations in XYXY_ABS without a class yet (`category_id` −1), and their class names in
        the same order.

    Raises:
        DatasetError: an object lacks its name or box, or a value is no number; the line is named.
    """
    annotations: list[Annotation] = []
    classes: list[str] = []
    for place, element in enumerate(root.iterfind("object")):
        try:
            box = element.find("bndbox")
            x0, y0, x1, y1 = [float(box.findtext(tag)) for tag in _CORNERS]
            name = element.findtext("name").strip()
            difficult = int(element.findtext("difficult") or 0)
            sound = name and difficult in (0, 1) and math.isfinite(x0 + y0 + x1 + y1)
        except (AttributeError, TypeError, ValueError):
            sound = False
        if not sound:
            raise DatasetError(f"{where_is_object(path, place)}: {_object_problem(element)}")
        classes.append(name)
        annotations.append(
            {
                "bbox": [x0 - first_pixel, y0 - first_pixel, x1, y1],
                "bbox_mode": _XYXY,
                "category_id": -1,
                "iscrowd": 0,
                "difficult": difficult,
            }
        )
    return annotations, classes


def _object_problem(element: ET.Element) -> str:
    """Say what is wrong with an object that could not be read."""
    if not (element.findtext("name") or "").strip():
        return "the object has no <name>."
    box = element.find("bndbox")
    if box is None:
        return "the object has no <bndbox>."
    for tag in _CORNERS:
        text = box.findtext(tag)
        if text is None:
            return f"the <bndbox> has no <{tag}>."
        try:
            finite = math.isfinite(float(text))
        except ValueError:
            finite = False
        if not finite:
            return f"<{tag}> is '{text}'; expected a number of pixels."
    return f"<difficult> is '{element.findtext('difficult')}'; expected 0 or 1."


def where_is_object(path: str, place: int) -> str:
    """Name the file and line of an object, for errors: the file is parsed again to count lines.

    Args:
        path: a file that `parse_xml` could read.
        place: the object's place among those of the file, from 0.
    """
    lines: list[int] = []
    depth = 0

    def start(tag: str, _: Mapping[str, str]) -> None:
        nonlocal depth
        if depth == 1 and tag == "object":
            lines.append(parser.CurrentLineNumber)
        depth += 1

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(Path(path).read_bytes(), True)
    return f"{path}, line {lines[place]} (object {place + 1})"
