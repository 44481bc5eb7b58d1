"""Detections in a json file, in COCO's results format: https://cocodataset.org/#format-results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

from yolov7.data.formats.record import box_problem
from yolov7.evaluation.dataset import EvaluatedDataset
from yolov7.evaluation.detections import ImageDetections
from yolov7.utils.atomic import atomic_write
from yolov7.utils.errors import DatasetError
from yolov7.utils.json_file import read_json

#: The name that detectron2 gives the file of an evaluation's detections.
RESULTS_FILE = "coco_instances_results.json"


def write_results(
    path: str | Path, images: Iterable[ImageDetections], *, category_ids: Sequence[int]
) -> None:
    """Write detections, their numbers un-rounded.

    Args:
        path: the file.
        images: the detections of each image.
        category_ids: the data set's category id of each contiguous class index.
    """
    # An image at a time through `dumps`, which is compiled; `dump` into a file is not.
    rows = (json.dumps(image.to_coco(category_ids))[1:-1] for image in images)
    with atomic_write(path, "w") as file:
        file.write("[" + ", ".join(row for row in rows if row) + "]\n")


@dataclass(frozen=True)
class ResultsFile:
    """The entries of a results file.

    An entry has `image_id`, `category_id`, `score` and `bbox` (x, y, width, height), or
    `segmentation` (run lengths), or both; all entries have the same. Without `bbox` the box is the
    mask's.

    Attributes:
        path: the file.
        rows: its entries, not checked yet.
    """

    path: Path
    rows: list[Any]

    @classmethod
    def read(cls, path: str | Path) -> ResultsFile:
        """Read a file.

        Raises:
            DatasetError: it is missing, no JSON or no list.
        """
        return cls(Path(path), _read_list(path))

    @property
    def has_masks(self) -> bool:
        """Whether its entries have masks."""
        return bool(self.rows) and isinstance(self.rows[0], dict) and "segmentation" in self.rows[0]

    def without_masks(self) -> ResultsFile:
        """The same entries without their masks.

        Raises:
            DatasetError: the entries have masks only.
        """
        if not self.has_masks:
            return self
        if "bbox" not in self.rows[0]:
            raise DatasetError(f"{self.path} has masks only: its entries have no 'bbox'.")
        rows = [
            {key: row[key] for key in row if key != "segmentation"}
            if isinstance(row, dict)
            else row
            for row in self.rows
        ]
        return ResultsFile(self.path, rows)

    def detections(self, dataset: EvaluatedDataset) -> list[ImageDetections]:
        """Check the entries against the data set that they are of.

        Returns:
            The detections of each image of the data set, in its order and in the file's; no
            detections for images that the file does not name.

        Raises:
            DatasetError: an entry (which is named) lacks a key, has a value that cannot be, or
                names an image or a category that the data set does not have.
        """
        keys = ("image_id", "category_id", "score", "segmentation" if self.has_masks else "bbox")
        class_of_category = {c: place for place, c in enumerate(dataset.category_ids)}
        truth = dataset.ground_truth
        size_of_image = dict(zip(truth.image_ids, truth.image_sizes, strict=True))
        by_image: dict[Any, list[dict]] = {image_id: [] for image_id in truth.image_ids}
        for place, row in enumerate(self.rows):
            problem = _problem(row, keys, size_of_image, class_of_category)
            if problem:
                raise DatasetError(f"{self.path}, entry {place} (from 0): {problem}")
            by_image[row["image_id"]].append(row)
        return [
            _to_detections(image_id, entries, class_of_category, with_masks=self.has_masks)
            for image_id, entries in by_image.items()
        ]


def _read_list(path: str | Path) -> list[Any]:
    content = read_json(path, kind="the results file")
    if isinstance(content, list):
        return content
    kind = f"a {type(content).__name__}"
    if isinstance(content, dict):
        kind = f"an object with {', '.join(content) or 'nothing'}"
        if "annotations" in content:
            kind += " (an annotation file)"
        elif "images" in content:
            kind += " (the output of demo.py, which does not know the images' ids)"
    raise DatasetError(
        f"{path}: expected results in COCO's format, a list of {{image_id, category_id, bbox, "
        f"score}} like inference/{RESULTS_FILE} of an evaluation; got {kind}."
    )


def _problem(
    row: Any,
    keys: Sequence[str],
    size_of_image: Mapping[Any, tuple[int, int]],
    class_of_category: Mapping[int, int],
) -> str | None:
    """Say what is wrong with an entry, or None."""
    if not isinstance(row, dict):
        return f"expected an object, got {row!r}."
    missing = [key for key in keys if key not in row]
    if missing:
        return f"{', '.join(missing)} missing; it has {', '.join(row) or 'nothing'}."
    if not _is_key(row["image_id"], size_of_image):
        example = next(iter(size_of_image), None)
        return (
            f"the data set has no image with the id {row['image_id']!r}. Its {len(size_of_image)} "
            f"images have ids like {example!r}: are these the results of another data set or split?"
        )
    if not _is_key(row["category_id"], class_of_category):
        shown = ", ".join(map(str, sorted(class_of_category)[:20]))
        more = ", …" if len(class_of_category) > 20 else ""
        return f"unknown category_id {row['category_id']!r}; the data set has {shown}{more}."
    score = row["score"]
    if not isinstance(score, Real) or isinstance(score, bool) or not math.isfinite(score):
        return f"score must be a finite number, got {score!r}."
    if "bbox" in row:
        problem = box_problem(row["bbox"])
        if problem:
            return problem
    if "segmentation" in keys:
        return _mask_problem(row["segmentation"], size_of_image[row["image_id"]])
    return None


def _mask_problem(mask: Any, image_size: tuple[int, int]) -> str | None:
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        return "segmentation must be run lengths {size: [h, w], counts: text}."
    if all(image_size) and mask.get("size") != list(image_size):
        return (
            f"segmentation must have the size of its image, {list(image_size)} (height, width), "
            f"got {mask.get('size')!r}."
        )
    return None


def _is_key(value: Any, mapping: Mapping[Any, Any]) -> bool:
    """Look an id up; those that are no ids at all (lists, true) are not found."""
    return isinstance(value, (int, str)) and not isinstance(value, bool) and value in mapping


def _to_detections(
    image_id: Any,
    rows: Sequence[dict],
    class_of_category: Mapping[int, int],
    *,
    with_masks: bool,
) -> ImageDetections:
    boxes = [r["bbox"] if "bbox" in r else mask_tools.toBbox(r["segmentation"]) for r in rows]
    return ImageDetections(
        image_id=image_id,
        boxes_xywh=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array([row["score"] for row in rows], np.float64),
        classes=np.array([class_of_category[row["category_id"]] for row in rows], np.int64),
        masks=[row["segmentation"] for row in rows] if with_masks else None,
    )
