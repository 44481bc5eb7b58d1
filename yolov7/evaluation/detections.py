"""What a model found: per image while it is collected, as columns when it is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

from yolov7.d2 import Instances


@dataclass(frozen=True)
class ImageDetections:
    """The N detections of one image, in the model's order; small enough to be sent between ranks.

    Attributes:
        image_id: the record's `image_id`.
        boxes_xywh: (N, 4) float64 pixels of the original image.
        scores: (N,) float64.
        classes: (N,) int64 contiguous class indices.
        masks: N compressed RLEs (`counts` as text, ready for json), or None.
    """

    image_id: Any
    boxes_xywh: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: list[dict] | None

    @classmethod
    def from_instances(
        cls, image_id: Any, instances: Instances, *, with_masks: bool
    ) -> ImageDetections:
        """Copy `pred_boxes`, `scores`, `pred_classes` (and `pred_masks`) out of a model's result.

        Widths and heights are differences in the boxes' own precision, as detectron2 takes them.

        Raises:
            ValueError: masks are to be evaluated and the model gives none.
        """
        boxes = instances.pred_boxes.tensor.detach().cpu()
        xywh = boxes.clone()
        xywh[:, 2:] -= boxes[:, :2]
        masks = None
        if with_masks:
            if not instances.has("pred_masks"):
                raise ValueError(
                    "The task 'segm' needs 'pred_masks' in the model's Instances, which hold only "
                    f"{sorted(instances.get_fields())}."
                )
            masks = encode_masks(instances.pred_masks.detach().cpu().numpy())
        return cls(
            image_id=image_id,
            boxes_xywh=xywh.double().numpy(),
            scores=instances.scores.detach().cpu().double().numpy(),
            classes=instances.pred_classes.detach().cpu().long().numpy(),
            masks=masks,
        )

    def finite(self) -> ImageDetections:
        """Leave out detections whose box or score is NaN or infinite; the same object if none."""
        keep = np.isfinite(self.scores) & np.isfinite(self.boxes_xywh).all(axis=1)
        return self._only(keep)

    def at_least(self, score: float) -> ImageDetections:
        """Leave out detections with a lower score; the same object if there is none."""
        return self._only(self.scores >= score)

    def _only(self, keep: np.ndarray) -> ImageDetections:
        """Keep the detections that a mask (N,) names."""
        if keep.all():
            return self
        masks = self.masks
        if masks is not None:
            masks = [mask for mask, wanted in zip(masks, keep, strict=True) if wanted]
        return ImageDetections(
            image_id=self.image_id,
            boxes_xywh=self.boxes_xywh[keep],
            scores=self.scores[keep],
            classes=self.classes[keep],
            masks=masks,
        )

    def to_coco(self, category_ids: Sequence[int]) -> list[dict]:
        """COCO's results form, un-rounded.

        Args:
            category_ids: the data set's category id of each contiguous class index.
        """
        rows = [
            {"image_id": self.image_id, "category_id": category_ids[c], "bbox": b, "score": s}
            for c, b, s in zip(
                self.classes.tolist(), self.boxes_xywh.tolist(), self.scores.tolist(), strict=True
            )
        ]
        if self.masks is not None:
            for row, mask in zip(rows, self.masks, strict=True):
                row["segmentation"] = mask
        return rows


@dataclass(frozen=True)
class Detections:
    """All D detections of a data set as columns.

    Attributes:
        image_index: (D,) int64 positions in `GroundTruth.image_ids`, ascending.
        category_index: (D,) int64 positions in `GroundTruth.category_ids`.
        boxes_xywh: (D, 4) float64 pixels.
        scores: (D,) float64.
        masks: D compressed RLEs, or None.
    """

    image_index: np.ndarray
    category_index: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray
    masks: list[dict] | None

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def concatenate(
        cls,
        images: Sequence[ImageDetections],
        *,
        image_index: Sequence[int],
        category_index_of_class: np.ndarray,
    ) -> Detections:
        """Join the images' detections.

        Args:
            images: detections of each image.
            image_index: each image's position in the ground truth.
            category_index_of_class: (K,) position in the ground truth of each class index.
        """
        counts = [len(image.scores) for image in images]
        classes = _join([image.classes for image in images], np.zeros(0, np.int64))
        with_masks = any(image.masks is not None for image in images)
        return cls(
            image_index=np.repeat(np.asarray(image_index, dtype=np.int64), counts),
            category_index=category_index_of_class[classes],
            boxes_xywh=_join([image.boxes_xywh for image in images], np.zeros((0, 4))),
            scores=_join([image.scores for image in images], np.zeros(0)),
            masks=[mask for image in images for mask in image.masks or ()] if with_masks else None,
        )


def encode_masks(masks: np.ndarray) -> list[dict]:
    """Compress masks to COCO's run-length encoding.

    Args:
        masks: (N, H, W) bool or 0/1.

    Returns:
        N `{"size": [H, W], "counts": str}`.
    """
    if len(masks) == 0:
        return []
    encoded = mask_tools.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    return [{"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")} for rle in encoded]


def _join(parts: list[np.ndarray], empty: np.ndarray) -> np.ndarray:
    return np.concatenate(parts) if parts else empty
