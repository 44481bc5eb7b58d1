"""The objects of a picture on their way through augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch

from yolov7.d2 import BitMasks, Boxes, Instances, Transform, polygons_to_bitmask
from yolov7.data.augmentation import clip_polygon
from yolov7.data.formats.record import xyxy
from yolov7.data.mappers.box_rule import ANY_BOX, BoxRule
from yolov7.utils.errors import DatasetError

# Polygons, (P, 2) float64 points each, or a bitmap (H, W) bool.
Mask = list[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Annotations:
    """Objects of one picture; every method returns new annotations.

    Attributes:
        boxes: (N, 4) float64 xyxy pixels.
        classes: (N,) int64.
        masks: N masks (polygons stay points until the very end), or None when masks are off.
    """

    boxes: np.ndarray
    classes: np.ndarray
    masks: list[Mask] | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, with_masks: bool) -> Annotations:
        """The objects of a record, without crowds, clipped to the picture.

        Boxes without area inside the picture are dropped.

        Args:
            record: with `height`, `width` and perhaps `annotations`; not changed.
            with_masks: read `segmentation`, too.

        Raises:
            DatasetError: a box is not finite, or masks are wanted and an object has none of the
                picture's size.
        """
        objects = [a for a in record.get("annotations", ()) if not a.get("iscrowd", 0)]
        boxes = np.array([xyxy(a) for a in objects], dtype=np.float64).reshape(-1, 4)
        if not np.isfinite(boxes).all():
            raise DatasetError(
                f"{record['file_name']}: a box is not four finite numbers. Correct the annotation."
            )
        classes = np.array([a["category_id"] for a in objects], dtype=np.int64)
        masks = [_read_mask(a, record) for a in objects] if with_masks else None
        height, width = record["height"], record["width"]
        return cls(boxes, classes, masks).cropped((0, 0, width, height))

    @classmethod
    def empty(cls, *, with_masks: bool) -> Annotations:
        """No objects."""
        return cls(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), [] if with_masks else None)

    def __len__(self) -> int:
        return len(self.boxes)

    def transformed(self, transform: Transform) -> Annotations:
        """Boxes become the hulls of their moved corners; nothing is clipped or dropped."""
        masks = None
        if self.masks is not None:
            masks = [
                transform.apply_segmentation(mask)
                if isinstance(mask, np.ndarray)
                else transform.apply_polygons([polygon.copy() for polygon in mask])
                for mask in self.masks
            ]
        return Annotations(transform.apply_box(self.boxes.copy()), self.classes, masks)

    def cropped(
        self, region: tuple[float, float, float, float], *, rule: BoxRule = ANY_BOX
    ) -> Annotations:
        """What is inside an xyxy region, in unchanged coordinates.

        Args:
            rule: which objects stay, by their whole and their clipped boxes.
        """
        x0, y0, x1, y1 = region
        boxes = np.clip(self.boxes, (x0, y0, x0, y0), (x1, y1, x1, y1))
        keep = np.flatnonzero(rule.keeps(self.boxes, boxes))
        masks = None
        if self.masks is not None:
            masks = [_crop_mask(self.masks[i], region) for i in keep]
        return Annotations(boxes[keep], self.classes[keep], masks)

    def bitmaps(self, size: tuple[int, int]) -> np.ndarray:
        """(N, H, W) bool of the masks, which must be there, in a picture of `size` (H, W)."""
        bitmaps = np.zeros((len(self), *size), dtype=bool)
        for bitmap, mask in zip(bitmaps, self.masks, strict=True):
            bitmap[:] = mask if isinstance(mask, np.ndarray) else _rasterize(mask, size)
        return bitmaps

    def behind(self, covered: np.ndarray) -> Annotations:
        """Masks, if there are any, lose what something in front covers; boxes stay.

        Args:
            covered: (H, W) bool, pixels of the picture.
        """
        if self.masks is None or not covered.any():
            return self
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        low, high = (columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)
        touched = ((self.boxes[:, :2] < high) & (self.boxes[:, 2:] > low)).all(axis=1)
        masks = [
            _subtract(mask, covered) if is_touched else mask
            for mask, is_touched in zip(self.masks, touched, strict=True)
        ]
        return Annotations(self.boxes, self.classes, masks)

    def to_instances(self, size: tuple[int, int], *, rule: BoxRule) -> Instances:
        """detectron2's form: `gt_boxes`, `gt_classes` and, with masks, `gt_masks` (`BitMasks`).

        Boxes are clipped to the picture and dropped if the rule says so, so that none may remain,
        which is ordinary. With masks, objects without a pixel are dropped, too.

        Args:
            size: (height, width) of the picture.
        """
        height, width = size
        inside = self.cropped((0, 0, width, height), rule=rule)
        instances = Instances(size)
        instances.gt_boxes = Boxes(torch.from_numpy(inside.boxes.astype(np.float32)))
        instances.gt_classes = torch.from_numpy(inside.classes)
        if inside.masks is None:
            return instances
        instances.gt_masks = BitMasks(torch.from_numpy(inside.bitmaps(size)))
        return instances[instances.gt_masks.nonempty()]


def concatenate(parts: Sequence[Annotations]) -> Annotations:
    """All objects of several pictures that were brought onto one canvas; at least one part."""
    masks = None
    if parts[0].masks is not None:
        masks = [mask for part in parts for mask in part.masks]
    return Annotations(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.classes for part in parts]),
        masks,
    )


def _read_mask(annotation: Mapping[str, Any], record: Mapping[str, Any]) -> Mask:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list) and segmentation:
        return [np.array(part, dtype=np.float64).reshape(-1, 2) for part in segmentation]
    size = [record["height"], record["width"]]
    if isinstance(segmentation, Mapping) and list(segmentation["size"]) == size:
        run_lengths = dict(segmentation)
        if isinstance(run_lengths["counts"], list):
            run_lengths = coco_mask.frPyObjects(run_lengths, *size)
        return coco_mask.decode(run_lengths).astype(bool)
    name = f" (id {annotation['id']})" if "id" in annotation else ""
    found = f"a mask of size {segmentation['size']}" if segmentation else "none"
    raise DatasetError(
        f"{record['file_name']}: masks are on, but an object{name} has {found}; expected polygons "
        f"or run lengths of size {size}. Correct the annotation or set MODEL.MASK_ON False."
    )


def _crop_mask(mask: Mask, region: tuple[float, float, float, float]) -> Mask:
    if not isinstance(mask, np.ndarray):
        parts = (clip_polygon(polygon, region) for polygon in mask)
        return [part for part in parts if len(part) >= 3]
    height, width = mask.shape
    x0, y0, x1, y1 = (round(edge) for edge in region)
    if x0 <= 0 and y0 <= 0 and x1 >= width and y1 >= height:
        return mask
    cropped = np.zeros_like(mask)
    cropped[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
    return cropped


def _subtract(mask: Mask, covered: np.ndarray) -> Mask:
    """A mask without covered pixels; it is the same object where none is covered."""
    bitmap = mask if isinstance(mask, np.ndarray) else _rasterize(mask, covered.shape)
    return bitmap & ~covered if (bitmap & covered).any() else mask


def _rasterize(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool union of polygons, by COCO's rule."""
    return polygons_to_bitmask([polygon.reshape(-1) for polygon in polygons], *size)
