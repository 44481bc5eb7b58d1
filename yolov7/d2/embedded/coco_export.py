"""Records of a registered dataset to COCO's format."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask

from yolov7.d2.embedded.box_mode import BoxMode
from yolov7.d2.embedded.catalog import DatasetCatalog, MetadataCatalog
from yolov7.d2.embedded.polygon_masks import PolygonMasks


def convert_to_coco_dict(dataset_name: str) -> dict[str, Any]:
    """Return a registered dataset as COCO's json would hold it.

    Category ids are mapped back to those of the original file where the metadata tell them. Areas
    are those of the masks, else of the boxes. The key "annotations" is absent when no image has
    any. The records are not changed.

    Raises:
        ValueError: a box that does not have 4 or 5 numbers.
        TypeError: a segmentation that is neither polygons nor RLE.
    """
    metadata = MetadataCatalog.get(dataset_name)
    to_contiguous = metadata.get("thing_dataset_id_to_contiguous_id")
    classes = metadata.thing_classes
    original_ids = {index: index for index in range(len(classes))}
    if to_contiguous is not None:
        original_ids = {index: original for original, index in to_contiguous.items()}

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for position, record in enumerate(DatasetCatalog.get(dataset_name)):
        image_id = record.get("image_id", position)
        images.append(
            {
                "id": image_id,
                "file_name": str(record["file_name"]),
                "width": int(record["width"]),
                "height": int(record["height"]),
            }
        )
        for item in record.get("annotations", []):
            annotation = _convert_object(item)
            annotation["id"] = len(annotations) + 1
            annotation["image_id"] = image_id
            annotation["category_id"] = int(original_ids[item["category_id"]])
            annotations.append(annotation)

    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    result: dict[str, Any] = {
        "info": {"description": f"Dataset '{dataset_name}'", "date_created": now},
        "licenses": None,
        "images": images,
        "categories": [
            {"id": original_ids[index], "name": name} for index, name in enumerate(classes)
        ],
    }
    if annotations:
        result["annotations"] = annotations
    return result


def _convert_object(item: dict[str, Any]) -> dict[str, Any]:
    box = np.asarray(item["bbox"], dtype=np.float64)
    if box.shape not in ((4,), (5,)):
        raise ValueError(f"A box has 4 or 5 numbers, got {item['bbox']!r}.")
    target = BoxMode.XYWH_ABS if len(box) == 4 else BoxMode.XYWHA_ABS
    box = BoxMode.convert(box, item["bbox_mode"], target)
    converted: dict[str, Any] = {
        "bbox": [round(float(value), 3) for value in box],
        "area": float(box[2] * box[3]),
        "iscrowd": int(item.get("iscrowd", 0)),
    }
    if "segmentation" in item:
        converted["segmentation"], converted["area"] = _convert_outline(item["segmentation"])
    if "keypoints" in item:
        # Back from coordinates to the pixel indices that COCO stores.
        converted["keypoints"] = [
            value if position % 3 == 2 else value - 0.5
            for position, value in enumerate(item["keypoints"])
        ]
        visible = sum(flag > 0 for flag in item["keypoints"][2::3])
        converted["num_keypoints"] = item.get("num_keypoints", visible)
    return converted


def _convert_outline(outline: list | dict) -> tuple[list | dict, float]:
    """The segmentation in a form that json can hold, and its area."""
    if isinstance(outline, list):
        return outline, float(PolygonMasks([outline]).area()[0])
    if not isinstance(outline, dict):
        raise TypeError(f"Expected polygons or RLE, got {type(outline).__name__}.")
    counts = outline["counts"]
    if isinstance(counts, bytes):
        return {**outline, "counts": counts.decode("ascii")}, float(coco_mask.area(outline))
    if isinstance(counts, list):
        return outline, float(sum(counts[1::2]))
    return outline, float(coco_mask.area(outline))
