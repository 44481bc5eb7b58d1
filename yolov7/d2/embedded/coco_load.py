"""COCO json files to records, as detectron2 reads them.

The framework's own data sets come through `yolov7.data.formats.coco`, in both branches: that reader
refuses what this one lets pass, keeps the objects' ids and orders the classes. Of a file that both
accept they make equal records.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pycocotools.mask as coco_mask

from yolov7.d2.embedded.box_mode import BoxMode
from yolov7.d2.embedded.catalog import DatasetCatalog, MetadataCatalog
from yolov7.d2.embedded.path_manager import PathManager

_logger = logging.getLogger(__name__)

_ANNOTATION_KEYS = ("iscrowd", "bbox", "keypoints", "category_id")


def load_coco_json(
    json_file: str,
    image_root: str,
    dataset_name: str | None = None,
    extra_annotation_keys: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Read the images and objects of a COCO json file, in the order of the image ids.

    Args:
        image_root: folder of the images.
        dataset_name: when given, category ids become 0..n-1 in their sorted order, and
            `thing_classes` and `thing_dataset_id_to_contiguous_id` are written to its metadata.
            Otherwise the ids stay as they are in the file.
        extra_annotation_keys: further keys of annotations to keep.

    Returns:
        Records {file_name, height, width, image_id, annotations: [{bbox, bbox_mode XYWH_ABS,
        category_id, iscrowd, segmentation?, keypoints?}]}. Crowd objects are kept. Polygons of
        fewer than 3 points are dropped, and with them objects that have no other.

    Raises:
        AssertionError: annotation ids that occur twice, or an annotation with `ignore`.
        KeyError: an annotation of a category that the file does not list.
        ValueError: an empty `bbox`.
    """
    json_file = PathManager.get_local_path(json_file)
    with PathManager.open(json_file) as file:
        content = json.load(file)
    contiguous_ids = None
    if dataset_name is not None:
        contiguous_ids = _write_metadata(dataset_name, content.get("categories", []))

    images = {image["id"]: image for image in content["images"]}
    by_image: dict[Any, list[dict]] = defaultdict(list)
    for annotation in content.get("annotations", []):
        by_image[annotation["image_id"]].append(annotation)
    strays = sum(len(objects) for image_id, objects in by_image.items() if image_id not in images)
    if strays:
        _logger.warning("%s: %d annotations belong to no image of the file.", json_file, strays)
    # The well-known minival files of COCO 2014 have ids that occur twice; they are harmless there.
    if "minival" not in json_file:
        ids = [annotation["id"] for image_id in images for annotation in by_image[image_id]]
        assert len(ids) == len(set(ids)), f"{json_file}: annotation ids occur more than once."

    keys = (*_ANNOTATION_KEYS, *(extra_annotation_keys or ()))
    records, dropped = [], 0
    for image_id, image in sorted(images.items()):
        objects = [_read_object(item, keys, contiguous_ids) for item in by_image[image_id]]
        kept = [item for item in objects if item is not None]
        dropped += len(objects) - len(kept)
        records.append(
            {
                "file_name": os.path.join(image_root, image["file_name"]),
                "height": image["height"],
                "width": image["width"],
                "image_id": image_id,
                "annotations": kept,
            }
        )
    if dropped:
        _logger.warning(
            "%s: dropped %d objects whose polygons all have fewer than 3 points.",
            json_file,
            dropped,
        )
    _logger.info("Read %d images from %s.", len(records), json_file)
    return records


def _write_metadata(dataset_name: str, categories: list[dict]) -> dict[int, int]:
    names = {category["id"]: category["name"] for category in categories}
    ids = sorted(names)
    if not ids:
        raise ValueError(f"The json file of dataset '{dataset_name}' lists no categories.")
    if ids != list(range(1, len(ids) + 1)) and "coco" not in dataset_name:
        _logger.warning(
            "Category ids of '%s' are not 1..%d; they are numbered anew in their order.",
            dataset_name,
            len(ids),
        )
    contiguous_ids = {category_id: index for index, category_id in enumerate(ids)}
    metadata = MetadataCatalog.get(dataset_name)
    metadata.thing_classes = [names[category_id] for category_id in ids]
    metadata.thing_dataset_id_to_contiguous_id = contiguous_ids
    return contiguous_ids


def _read_object(
    annotation: dict[str, Any], keys: Sequence[str], contiguous_ids: dict[int, int] | None
) -> dict[str, Any] | None:
    """One object in the form of records, or `None` when nothing of its outline is left."""
    where = f"Annotation {annotation.get('id')} of image {annotation['image_id']}"
    assert not annotation.get("ignore", 0), f"{where}: 'ignore' is not supported, use 'iscrowd'."
    item = {key: annotation[key] for key in keys if key in annotation}
    if "bbox" in item and len(item["bbox"]) == 0:
        raise ValueError(f"{where}: 'bbox' is empty.")
    outline = annotation.get("segmentation")
    if outline:
        item["segmentation"] = _read_outline(outline)
        if len(item["segmentation"]) == 0:
            return None
    if item.get("keypoints"):
        # Keypoints are pixel indices; half a pixel makes them coordinates like all others.
        item["keypoints"] = [
            value if position % 3 == 2 else value + 0.5
            for position, value in enumerate(item["keypoints"])
        ]
    else:
        item.pop("keypoints", None)
    item["bbox_mode"] = BoxMode.XYWH_ABS
    if contiguous_ids is not None:
        category = item["category_id"]
        if category not in contiguous_ids:
            raise KeyError(f"{where}: category_id {category} is not in 'categories' of the file.")
        item["category_id"] = contiguous_ids[category]
    return item


def _read_outline(outline: list | dict) -> list | dict:
    if isinstance(outline, dict):
        if isinstance(outline["counts"], list):
            return coco_mask.frPyObjects(outline, *outline["size"])
        return outline
    return [polygon for polygon in outline if len(polygon) >= 6 and len(polygon) % 2 == 0]


def register_coco_instances(
    name: str, metadata: dict[str, Any], json_file: str, image_root: str
) -> None:
    """Register a dataset in COCO's format; nothing is read before it is asked for.

    Args:
        metadata: further attributes for its metadata, besides `json_file`, `image_root` and
            `evaluator_type` "coco".
    """
    assert isinstance(name, str), name
    assert isinstance(json_file, (str, os.PathLike)), json_file
    assert isinstance(image_root, (str, os.PathLike)), image_root
    DatasetCatalog.register(name, lambda: load_coco_json(json_file, image_root, name))
    MetadataCatalog.get(name).set(
        json_file=json_file, image_root=image_root, evaluator_type="coco", **metadata
    )
