"""COCO annotation files: https://cocodataset.org/#format-data."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from yolov7.d2 import BoxMode
from yolov7.data.formats.categories import order_categories, publish_classes
from yolov7.data.formats.file_names import inside
from yolov7.data.formats.record import Annotation, Record, box_problem
from yolov7.data.formats.registry import DatasetFormat, register_format
from yolov7.utils.errors import DatasetError
from yolov7.utils.json_file import read_json

logger = logging.getLogger(__name__)

# A plain number is equal to the enum's member, and unpickled by workers in a third of the time.
_XYWH = int(BoxMode.XYWH_ABS)


def load_coco(
    annotation_file: str | os.PathLike[str],
    image_root: str | os.PathLike[str],
    *,
    dataset_name: str,
    class_names: Sequence[str] | None = None,
) -> list[Record]:
    """Read and check a COCO annotation file of boxes and masks.

    Category ids may have gaps and start anywhere; they become class indices in the order of the
    ids, or of `class_names`. The metadata of `dataset_name` gets `thing_classes` and
    `thing_dataset_id_to_contiguous_id`, as detectron2's `load_coco_json` sets them, so that
    results can be mapped back. The file is parsed once. Polygons with fewer than three points are
    dropped, and the object with them when none is left; a warning counts them. Beyond COCO, an
    annotation may say `"difficult": 1`, as one that was converted from VOC does.

    Args:
        annotation_file: the json file.
        image_root: folder that the file names are relative to.
        dataset_name: the registered name.
        class_names: wanted order of the classes, a permutation of the categories' names.

    Returns:
        Records in the order of the image ids; boxes in XYWH_ABS as in the file.

    Raises:
        DatasetError: the file or folder is missing, the json is malformed (file and line are
            named), ids occur twice or refer to nothing, a box is not four finite numbers, a mask
            has another size than its image, or a file name leads out of `image_root`.
    """
    annotation_file, image_root = os.fspath(annotation_file), os.fspath(image_root)
    content = read_json(annotation_file, kind="annotation file")
    if not os.path.isdir(image_root):
        raise DatasetError(f"Image folder {image_root} (for {annotation_file}) does not exist.")
    images, annotations, categories = (
        _section(content, key, annotation_file) for key in ("images", "annotations", "categories")
    )
    names, contiguous_ids = order_categories(
        _category_names(categories, annotation_file), class_names, source=annotation_file
    )
    records = _image_records(images, image_root, annotation_file)
    for record in records.values():
        record["dataset_name"] = dataset_name
    _add_annotations(records, annotations, contiguous_ids, annotation_file)
    publish_classes(dataset_name, names, contiguous_ids, source=annotation_file)
    return sorted(records.values(), key=lambda record: _sortable(record["image_id"]))


def _section(content: Any, key: str, path: str) -> list[dict[str, Any]]:
    if not isinstance(content, dict):
        kind = "a list (of results?)" if isinstance(content, list) else type(content).__name__
        raise DatasetError(
            f"{path}: expected a COCO annotation file, an object with images, annotations and "
            f"categories; got {kind}."
        )
    if key not in content:
        raise DatasetError(
            f"{path}: '{key}' is missing; a COCO annotation file has images, annotations and "
            f"categories, this one has {', '.join(content) or 'nothing'}."
        )
    rows = content[key]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path}: '{key}' must be a list of objects.")
    return rows


def _get(row: Mapping[str, Any], key: str, kind: str, path: str) -> Any:
    try:
        return row[key]
    except KeyError:
        name = f"{kind} {row['id']}" if "id" in row else f"an object of '{kind}'"
        raise DatasetError(f"{path}: {name} has no '{key}'; it has {', '.join(row)}.") from None


def _category_names(categories: list[dict[str, Any]], path: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in categories:
        identity = _get(row, "id", "category", path)
        if not isinstance(identity, int):
            raise DatasetError(f"{path}: category id {identity!r} must be a whole number.")
        if identity in names:
            raise DatasetError(f"{path}: category id {identity} occurs twice.")
        names[identity] = str(_get(row, "name", "category", path))
    if not names:
        raise DatasetError(f"{path}: 'categories' is empty; list the classes there.")
    return names


def _image_records(
    images: list[dict[str, Any]], image_root: str, path: str
) -> dict[int | str, Record]:
    records: dict[int | str, Record] = {}
    for row in images:
        identity = _get(row, "id", "image", path)
        if not isinstance(identity, int | str):
            raise DatasetError(f"{path}: image id {identity!r} must be a number or a string.")
        if identity in records:
            raise DatasetError(
                f"{path}: image id {identity} occurs twice; each image needs its own."
            )
        height, width = (_get(row, key, "image", path) for key in ("height", "width"))
        for key, value in (("height", height), ("width", width)):
            if not isinstance(value, int) or value <= 0:
                raise DatasetError(
                    f"{path}: image {identity} declares {key} {value!r}; expected a whole number "
                    "of pixels above 0."
                )
        name = _get(row, "file_name", "image", path)
        records[identity] = {
            "file_name": inside(image_root, name, f"{path}: image {identity}"),
            "height": height,
            "width": width,
            "image_id": identity,
            "annotations": [],
        }
    return records


def _add_annotations(
    records: Mapping[int | str, Record],
    annotations: list[dict[str, Any]],
    contiguous_ids: Mapping[int, int],
    path: str,
) -> None:
    """Append every annotation to its image's record."""
    seen = set()
    bad_polygons = lost_objects = 0
    for row in annotations:
        identity = _get(row, "id", "annotation", path)
        where = f"{path}: annotation {identity}"
        if not isinstance(identity, int | str):
            raise DatasetError(f"{where}: the id must be a number or a string.")
        if identity in seen:
            raise DatasetError(f"{where}: the id occurs twice; each annotation needs its own.")
        seen.add(identity)
        image_id, category, bbox = (
            _get(row, key, "annotation", path) for key in ("image_id", "category_id", "bbox")
        )
        record = records.get(image_id) if isinstance(image_id, int | str) else None
        if record is None:
            raise DatasetError(f"{where} belongs to image {image_id!r}, which is not in 'images'.")
        if not isinstance(category, int) or category not in contiguous_ids:
            raise DatasetError(
                f"{where} has category_id {category!r}; 'categories' has the ids "
                f"{sorted(contiguous_ids)}."
            )
        problem = box_problem(bbox)
        if problem:
            raise DatasetError(f"{where} (image {image_id}): {problem}")
        annotation: Annotation = {
            "id": identity,
            "bbox": bbox,
            "bbox_mode": _XYWH,
            "category_id": contiguous_ids[category],
            "iscrowd": _crowd(row, where),
        }
        if row.get("difficult"):
            annotation["difficult"] = 1
        segmentation = row.get("segmentation")
        if segmentation:
            segmentation, bad = _segmentation(segmentation, record, where)
            bad_polygons += bad
            if not segmentation:
                lost_objects += 1
                continue
            annotation["segmentation"] = segmentation
        record["annotations"].append(annotation)
    if bad_polygons:
        logger.warning(
            "%s: dropped %d polygons with fewer than three points, and %d objects that had no "
            "other polygon.", path, bad_polygons, lost_objects,
        )  # fmt: skip


def _crowd(row: Mapping[str, Any], where: str) -> int:
    crowd = row.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DatasetError(f"{where}: iscrowd must be 0 or 1, got {crowd!r}.")
    if row.get("ignore", 0):
        raise DatasetError(
            f"{where} has 'ignore', which COCO evaluation does not know; use \"iscrowd\": 1."
        )
    return int(crowd)


def _segmentation(
    value: Any, record: Record, where: str
) -> tuple[list[list[float]] | dict[str, Any], int]:
    """Check a mask; return it without bad polygons, RLE compressed, and the number of bad ones."""
    if isinstance(value, dict):
        size = [record["height"], record["width"]]
        if "counts" not in value or list(value.get("size", ())) != size:
            raise DatasetError(
                f"{where}: a mask in RLE needs 'counts' and the image's size {size} (height, "
                f"width), got size {value.get('size')!r}."
            )
        if isinstance(value["counts"], list):
            value = coco_mask.frPyObjects(value, *size)
        return value, 0
    if not isinstance(value, list) or not all(isinstance(polygon, list) for polygon in value):
        raise DatasetError(f"{where}: segmentation must be a list of polygons or an RLE object.")
    good = [polygon for polygon in value if len(polygon) >= 6 and len(polygon) % 2 == 0]
    try:
        finite = all(math.isfinite(sum(polygon)) for polygon in good)
    except TypeError:
        finite = False
    if not finite:
        raise DatasetError(f"{where}: segmentation must hold finite numbers only.")
    return good, len(value) - len(good)


def _sortable(image_id: int | str) -> tuple[bool, int | str]:
    """Order numbers before strings, so that ids of both kinds can be sorted together."""
    return isinstance(image_id, str), image_id


register_format(
    DatasetFormat(
        name="coco",
        keys=("ANNOTATIONS", "IMAGES"),
        load=load_coco,
        metadata=lambda annotations, images: {
            "json_file": str(annotations),
            "image_root": str(images),
            "evaluator_type": "coco",
        },
    )
)
