"""Records as COCO's json holds them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from yolov7.data.conversion.report import ConversionReport
from yolov7.data.conversion.source import PlaceImage, SourceSplit
from yolov7.data.formats.record import Annotation, Record, xywh
from yolov7.utils.atomic import atomic_write_json


def coco_content(
    records: Sequence[Record], *, class_names: Sequence[str], category_ids: Sequence[int]
) -> dict[str, list[dict[str, Any]]]:
    """Put records into the form of a COCO annotation file.

    Boxes stay as they are, without rounding. The area is that of the mask, or else of the box.
    Annotations keep their ids where all have one of their own; otherwise they are numbered from 1.
    `difficult` is written where it is 1.

    Args:
        records: validated records; each `image_id` becomes the image's id.
        class_names: in the order of class indices.
        category_ids: id of each class.

    Returns:
        `{"images", "annotations", "categories"}`, ready for json.
    """
    images, annotations = [], []
    for record in records:
        images.append(
            {
                "id": record["image_id"],
                "file_name": record["file_name"],
                "height": record["height"],
                "width": record["width"],
            }
        )
        annotations += [_annotation(a, record, category_ids) for a in record["annotations"]]
    ids = {a.get("id") for a in annotations}
    if None in ids or len(ids) < len(annotations):
        annotations = [{**a, "id": number} for number, a in enumerate(annotations, start=1)]
    categories = [
        {"id": i, "name": name} for i, name in zip(category_ids, class_names, strict=True)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _annotation(
    annotation: Annotation, record: Record, category_ids: Sequence[int]
) -> dict[str, Any]:
    box = xywh(annotation)
    written: dict[str, Any] = {
        "image_id": record["image_id"],
        "category_id": category_ids[annotation["category_id"]],
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": annotation.get("iscrowd", 0),
    }
    if "id" in annotation:
        written["id"] = annotation["id"]
    if annotation.get("difficult"):
        written["difficult"] = 1
    segmentation = annotation.get("segmentation")
    if segmentation:
        encoded = segmentation
        if isinstance(segmentation, list):
            encoded = coco_mask.merge(
                coco_mask.frPyObjects(segmentation, record["height"], record["width"])
            )
        elif isinstance(segmentation["counts"], bytes):
            segmentation = {**segmentation, "counts": segmentation["counts"].decode("ascii")}
        written["segmentation"] = segmentation
        written["area"] = float(coco_mask.area(encoded))
    return written


class CocoWriter:
    """Writes `annotations/<split>.json` and `images/<split>/`.

    Ids of images and categories are kept where they are numbers of the source's own, else both are
    numbered from 1.
    """

    format_name = "coco"

    def write(
        self,
        splits: Sequence[SourceSplit],
        folder: Path,
        *,
        place_image: PlaceImage,
        report: ConversionReport,
    ) -> None:
        """Write splits into an empty folder; `place_image(source, target)` brings the images."""
        for split in splits:
            ids = split.category_ids or range(1, len(split.class_names) + 1)
            numbers = [record["image_id"] for record in split.records]
            if not all(isinstance(number, int) for number in numbers):
                numbers = list(range(1, len(numbers) + 1))
            records = []
            placed: set[str] = set()
            for record, number, name in zip(split.records, numbers, split.image_names, strict=True):
                if name not in placed:  # COCO may have an image file under several ids
                    place_image(record["file_name"], folder / "images" / split.name / name)
                    placed.add(name)
                records.append({**record, "image_id": number, "file_name": name})
            content = coco_content(records, class_names=split.class_names, category_ids=ids)
            atomic_write_json(folder / "annotations" / f"{split.name}.json", content)
            report.images[split.name] = len(records)
            report.objects[split.name] = len(content["annotations"])
            report.entries[split.name] = {
                "FORMAT": "coco",
                "ANNOTATIONS": os.path.join(report.output, "annotations", f"{split.name}.json"),
                "IMAGES": os.path.join(report.output, "images", split.name),
            }
