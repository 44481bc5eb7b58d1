"""The ground truth of a data set as columns, the form every COCO backend is fed from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

from yolov7.data.formats.record import box_problem
from yolov7.utils.errors import DatasetError
from yolov7.utils.json_file import read_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroundTruth:
    """What pycocotools' protocol needs to know of a data set; M annotations, in the file's order.

    COCO's protocol uses ids only to group annotations and, through their order, to break ties.
    Images and categories are therefore held as positions in the sorted lists of their ids:
    string, negative or huge ids evaluate like any other, and no backend's limits show.

    Attributes:
        image_ids: all image ids of the data set, sorted.
        image_sizes: (height, width) of each image, aligned with `image_ids`.
        category_ids: the evaluated categories' ids, sorted.
        image_index: (M,) int64 positions in `image_ids`.
        category_index: (M,) int64 positions in `category_ids`.
        boxes_xywh: (M, 4) float64 absolute pixels.
        areas: (M,) float64 pixels², the file's `area`.
        is_crowd: (M,) bool.
        is_difficult: (M,) bool, VOC's mark, which COCO's protocol does not look at.
        segmentations: per annotation a polygon list or RLE as in the file; None without masks.
    """

    image_ids: list[Any]
    image_sizes: list[tuple[int, int]]
    category_ids: list[int]
    image_index: np.ndarray
    category_index: np.ndarray
    boxes_xywh: np.ndarray
    areas: np.ndarray
    is_crowd: np.ndarray
    is_difficult: np.ndarray
    segmentations: list[Any] | None

    @classmethod
    def from_coco(
        cls, coco: dict, *, category_ids: Sequence[int], with_masks: bool, source: str
    ) -> GroundTruth:
        """Take the columns out of a data set in COCO's json form.

        Annotations of other categories and of unlisted images take no part, as in pycocotools; they
        are counted in a warning.
        An absent `iscrowd` means 0; an absent `area` is that of the mask, or else of the box
        (pycocotools stops at either), and is reported. The ids of annotations play no role:
        pycocotools takes the id 0 for "unmatched" and so counts that object as missed, which is
        not repeated here.

        Args:
            coco: `{"images", "annotations", "categories"}`.
            category_ids: the categories to evaluate.
            with_masks: whether segmentations are needed.
            source: the file or data set to name in errors.

        Raises:
            DatasetError: something is missing or doubled.
        """
        images = sorted(_images(coco, source), key=lambda image: _order(image["id"]))
        image_ids = [image["id"] for image in images]
        _refuse_duplicates("image", image_ids, source)
        annotations = coco.get("annotations", [])
        ids = [annotation.get("id") for annotation in annotations]
        _refuse_duplicates("annotation", [i for i in ids if i is not None], source)
        if 0 in ids:
            logger.warning(
                f"{source}: an annotation has the id 0, which pycocotools takes for 'no match' "
                "and counts as missed. Here it counts as any other object."
            )

        category_ids = sorted(category_ids)
        place_of_image = {image_id: place for place, image_id in enumerate(image_ids)}
        place_of_category = {c: place for place, c in enumerate(category_ids)}
        kept = [
            annotation
            for annotation in annotations
            if annotation.get("image_id") in place_of_image
            and annotation.get("category_id") in place_of_category
        ]
        if len(kept) < len(annotations):
            logger.warning(
                f"{source}: {len(annotations) - len(kept)} annotations belong to categories that "
                "are not evaluated or to images that are not listed; they take no part."
            )
        sizes = [(int(i.get("height", 0)), int(i.get("width", 0))) for i in images]
        image_index = [place_of_image[a["image_id"]] for a in kept]
        return cls(
            image_ids=image_ids,
            image_sizes=sizes,
            category_ids=category_ids,
            image_index=np.asarray(image_index, dtype=np.int64),
            category_index=np.asarray(
                [place_of_category[a["category_id"]] for a in kept], dtype=np.int64
            ),
            boxes_xywh=_boxes(kept, source),
            areas=_areas(kept, [sizes[place] for place in image_index], source),
            is_crowd=np.asarray([bool(a.get("iscrowd", 0)) for a in kept], dtype=bool),
            is_difficult=np.asarray([bool(a.get("difficult", 0)) for a in kept], dtype=bool),
            segmentations=_segmentations(kept, source) if with_masks else None,
        )

    @property
    def place_of_image(self) -> dict[Any, int]:
        """The position of each image id in `image_ids`."""
        return {image_id: place for place, image_id in enumerate(self.image_ids)}

    def count_objects(self) -> np.ndarray:
        """Count the annotations of each category that are no crowds; (K,) int64."""
        objects = self.category_index[~self.is_crowd]
        return np.bincount(objects, minlength=len(self.category_ids))

    def of_images(self, image_ids: Collection[Any]) -> GroundTruth:
        """Keep only the images with these ids; unknown ids are ignored."""
        places = [p for p, image_id in enumerate(self.image_ids) if image_id in image_ids]
        kept = np.isin(self.image_index, places)
        segmentations = self.segmentations
        if segmentations is not None:
            segmentations = [s for s, wanted in zip(segmentations, kept, strict=True) if wanted]
        return GroundTruth(
            image_ids=[self.image_ids[place] for place in places],
            image_sizes=[self.image_sizes[place] for place in places],
            category_ids=self.category_ids,
            image_index=np.searchsorted(places, self.image_index[kept]),
            category_index=self.category_index[kept],
            boxes_xywh=self.boxes_xywh[kept],
            areas=self.areas[kept],
            is_crowd=self.is_crowd[kept],
            is_difficult=self.is_difficult[kept],
            segmentations=segmentations,
        )


def read_coco_json(path: str | Path) -> dict:
    """Read an annotation file in COCO's json form.

    Raises:
        DatasetError: it is missing, no json, or holds no list of images and categories.
    """
    coco = read_json(path, kind="annotation file")
    if not isinstance(coco, dict):
        raise DatasetError(
            f"{path}: expected an object with the lists 'images', 'annotations' and "
            f"'categories', got a {type(coco).__name__}. A results file is no annotation file."
        )
    for key in ("images", "categories"):
        if not isinstance(coco.get(key), list):
            raise DatasetError(f"{path}: expected a list under '{key}', found none.")
    return coco


def _order(image_id: Any) -> tuple[bool, Any]:
    """Integers by value as pycocotools does, then everything else as text."""
    is_number = isinstance(image_id, int)
    return (not is_number, image_id if is_number else str(image_id))


def _images(coco: dict, source: str) -> list[dict]:
    for image in coco["images"]:
        if "id" not in image:
            raise DatasetError(f"{source}: the image {image.get('file_name', image)} has no 'id'.")
    return coco["images"]


def _refuse_duplicates(kind: str, ids: list[Any], source: str) -> None:
    doubled = [identity for identity, count in Counter(ids).items() if count > 1]
    if doubled:
        raise DatasetError(
            f"{source}: {len(doubled)} {kind} ids occur more than once, for example "
            f"{doubled[0]!r}. Every {kind} needs an id of its own."
        )


def _boxes(annotations: list[dict], source: str) -> np.ndarray:
    for annotation in annotations:
        problem = box_problem(annotation.get("bbox", ()))
        if problem:
            raise DatasetError(f"{source}: annotation {annotation.get('id')}: {problem}")
    return np.asarray([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)


def _areas(annotations: list[dict], image_sizes: list[tuple[int, int]], source: str) -> np.ndarray:
    without = sum("area" not in annotation for annotation in annotations)
    if without:
        logger.warning(
            f"{source}: {without} annotations have no 'area'; it is taken from their mask, or "
            "else from their box. It decides which objects count as small, medium and large."
        )
    return np.asarray(
        [
            a["area"] if "area" in a else _area(a, size)
            for a, size in zip(annotations, image_sizes, strict=True)
        ],
        dtype=np.float64,
    )


def _area(annotation: dict, image_size: tuple[int, int]) -> float:
    segmentation = annotation.get("segmentation")
    if not segmentation or not all(image_size):
        return annotation["bbox"][2] * annotation["bbox"][3]
    return float(mask_tools.area(_encode(segmentation, image_size)))


def _encode(segmentation: Any, image_size: tuple[int, int]) -> dict:
    """Polygons (united) or either form of RLE -> compressed RLE."""
    if isinstance(segmentation, list):
        return mask_tools.merge(mask_tools.frPyObjects(segmentation, *image_size))
    if isinstance(segmentation["counts"], list):
        return mask_tools.frPyObjects(segmentation, *image_size)
    return segmentation


def _segmentations(annotations: list[dict], source: str) -> list[Any]:
    without = [a for a in annotations if not a.get("segmentation")]
    if without:
        raise DatasetError(
            f"{source}: masks are to be evaluated, but {len(without)} annotations have no "
            f"'segmentation', for example {without[0].get('id')}. "
            "Evaluate boxes only (MODEL.MASK_ON False) or add the masks."
        )
    return [annotation["segmentation"] for annotation in annotations]
