"""The record: what every data set format is read into, one dict an image."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NotRequired, TypedDict

import numpy as np

from yolov7.d2 import BoxMode
from yolov7.utils.errors import DatasetError

logger = logging.getLogger(__name__)

# Reaching over the border by less (rounding of annotation tools) is clipped without mention.
_MENTIONED_OVERHANG = 1.0
_REQUIRED = ("file_name", "height", "width", "image_id", "annotations")


class Annotation(TypedDict):
    """One object of an image, as in detectron2's standard data set dicts.

    Attributes:
        bbox: four numbers in absolute pixels of the upright image, in the mode `bbox_mode`.
        bbox_mode: `BoxMode.XYWH_ABS` or `BoxMode.XYXY_ABS`.
        category_id: class index in [0, K); not the id of the annotation file.
        iscrowd: 1 for a region of many objects, which is neither learned nor counted as missed.
        segmentation: polygons [[x, y, x, y, ...], ...] in pixels, or compressed COCO RLE
            {"size": [h, w], "counts": bytes}.
        difficult: VOC's 0 or 1; 1 is an object that is hard to recognise: learned like any other,
            and neither asked for nor punished by VOC evaluation.
        id: the annotation's id in its file.
    """

    bbox: list[float]
    bbox_mode: int
    category_id: int
    iscrowd: int
    segmentation: NotRequired[list[list[float]] | dict[str, Any]]
    difficult: NotRequired[int]
    id: NotRequired[int | str]


class Record(TypedDict):
    """One image with its objects, as in detectron2's standard data set dicts.

    Attributes:
        file_name: path of the image file.
        height, width: size of the upright image in pixels.
        image_id: unique within the data set.
        annotations: its objects; an empty list for an image without objects.
        dataset_name: the data set it comes from.
    """

    file_name: str
    height: int
    width: int
    image_id: int | str
    annotations: list[Annotation]
    dataset_name: NotRequired[str]


def validate_records(
    records: Sequence[Record], *, dataset_name: str, num_classes: int | None = None
) -> None:
    """Check that records of any origin are complete and their boxes are numbers.

    Args:
        records: the records of one data set.
        dataset_name: named in errors.
        num_classes: K, when known.

    Raises:
        DatasetError: a key is missing, a size is not positive, an image id occurs twice, a box is
            not four finite numbers or a class index is outside [0, K); the image or annotation is
            named.
    """
    seen = set()
    for record in records:
        missing = [key for key in _REQUIRED if key not in record]
        if missing:
            raise DatasetError(
                f"Data set '{dataset_name}': a record lacks {', '.join(missing)}; "
                f"it has {', '.join(record)}."
            )
        where = f"Data set '{dataset_name}', image {record['image_id']} ({record['file_name']})"
        if not (_positive(record["height"]) and _positive(record["width"])):
            raise DatasetError(
                f"{where}: height and width must be positive whole numbers, got "
                f"{record['height']!r} and {record['width']!r}."
            )
        if record["image_id"] in seen:
            raise DatasetError(f"{where}: the image id occurs twice; ids must be unique.")
        seen.add(record["image_id"])
        for place, annotation in enumerate(record["annotations"]):
            problem = _annotation_problem(annotation, num_classes)
            if problem:
                name = f"id {annotation['id']}" if "id" in annotation else f"number {place}"
                raise DatasetError(f"{where}, annotation {name}: {problem}")


def clean_for_training(records: Sequence[Record], *, dataset_name: str) -> list[Record]:
    """Return records whose boxes all lie within their images and have an area.

    Boxes without area or wholly outside are dropped, boxes reaching over the border are clipped;
    one warning counts them. The arguments are not changed. Evaluation reads the annotation file
    itself and is not affected.

    Args:
        records: validated records of one data set.
        dataset_name: named in the warning.

    Returns:
        As many records; those without a bad box are the same objects.
    """
    counts = [len(record["annotations"]) for record in records]
    if not sum(counts):
        return list(records)
    boxes = _all_boxes(records)
    sizes = np.array([(r["width"], r["height"]) for r in records], dtype=np.float64)
    limits = np.repeat(sizes, counts, axis=0)
    clipped = np.clip(boxes.reshape(-1, 2, 2), 0, limits[:, None]).reshape(-1, 4)
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    outside = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1) & ~empty
    overhang = np.abs(boxes - clipped).max(axis=1)
    reaching = (overhang > _MENTIONED_OVERHANG) & ~empty & ~outside
    if empty.any() or outside.any() or reaching.any():
        logger.warning(
            "Data set '%s': of %d boxes, dropped %d without area and %d outside their image, "
            "clipped %d that reach over the border.",
            dataset_name, len(boxes), empty.sum(), outside.sum(), reaching.sum(),
        )  # fmt: skip
    touched = empty | outside | (overhang > 0)
    result = []
    end = 0
    for record, count in zip(records, counts, strict=True):
        begin, end = end, end + count
        if touched[begin:end].any():
            annotations = [
                a if not touched[i] else _with_box(a, clipped[i])
                for i, a in enumerate(record["annotations"], start=begin)
                if not (empty[i] or outside[i])
            ]
            record = {**record, "annotations": annotations}
        result.append(record)
    return result


def without_masks(record: Record) -> Record:
    """Return the record without its objects' `segmentation`, which often is most of its bytes."""
    annotations = [
        {key: value for key, value in a.items() if key != "segmentation"}
        for a in record["annotations"]
    ]
    return {**record, "annotations": annotations}


def has_objects(record: Record) -> bool:
    """Say whether a record has an object to learn; crowds are none."""
    return any(not a.get("iscrowd", 0) for a in record["annotations"])


def has_mask(annotation: Annotation) -> bool:
    """Say whether an annotation is an object, no crowd, with polygons or run lengths."""
    return not annotation.get("iscrowd", 0) and bool(annotation.get("segmentation"))


def xyxy(annotation: Annotation) -> list[float]:
    """Return an annotation's box as [x0, y0, x1, y1] in pixels."""
    a, b, c, d = annotation["bbox"]
    if annotation["bbox_mode"] == BoxMode.XYXY_ABS:
        return [a, b, c, d]
    return [a, b, a + c, b + d]


def xywh(annotation: Annotation) -> list[float]:
    """Return an annotation's box as [x, y, width, height] in pixels."""
    a, b, c, d = annotation["bbox"]
    if annotation["bbox_mode"] == BoxMode.XYWH_ABS:
        return [a, b, c, d]
    return [a, b, c - a, d - b]


def _all_boxes(records: Sequence[Record]) -> np.ndarray:
    """Collect the boxes of all records, (M, 4) float64 xyxy."""
    annotations = [a for record in records for a in record["annotations"]]
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64)
    is_xywh = np.array([a["bbox_mode"] == BoxMode.XYWH_ABS for a in annotations])
    boxes[is_xywh, 2:] += boxes[is_xywh, :2]
    return boxes


def _with_box(annotation: Annotation, box_xyxy: np.ndarray) -> Annotation:
    x0, y0, x1, y1 = box_xyxy.tolist()
    return {**annotation, "bbox": [x0, y0, x1, y1], "bbox_mode": int(BoxMode.XYXY_ABS)}


def _positive(value: Any) -> bool:
    return isinstance(value, int | np.integer) and value > 0


def _annotation_problem(annotation: Annotation, num_classes: int | None) -> str | None:
    """Say what is wrong with an annotation, or None."""
    for key in ("bbox", "bbox_mode", "category_id"):
        if key not in annotation:
            return f"lacks '{key}'."
    if annotation["bbox_mode"] not in (BoxMode.XYWH_ABS, BoxMode.XYXY_ABS):
        return f"bbox_mode must be XYWH_ABS or XYXY_ABS, got {annotation['bbox_mode']!r}."
    problem = box_problem(annotation["bbox"])
    if problem:
        return problem
    category = annotation["category_id"]
    if not isinstance(category, int | np.integer) or category < 0:
        return f"category_id must be a class index from 0, got {category!r}."
    if num_classes is not None and category >= num_classes:
        return f"category_id {category} is outside the {num_classes} classes [0, {num_classes})."
    return None


def box_problem(bbox: Any) -> str | None:
    """Say what is wrong with a box, or None if it is four finite numbers.

    Args:
        bbox: a sequence of any length and content.
    """
    if not isinstance(bbox, Sequence | np.ndarray) or len(bbox) != 4:
        return f"bbox must be 4 numbers, got {bbox!r}."
    try:
        finite = math.isfinite(bbox[0] + bbox[1] + bbox[2] + bbox[3])
    except TypeError:
        finite = False
    if not finite:
        kind = "finite" if all(isinstance(v, Real) for v in bbox) else "4"
        return f"bbox must be {kind} numbers, got {bbox!r}."
    return None
