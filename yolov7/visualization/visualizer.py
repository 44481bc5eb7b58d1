"""Pictures of detections, annotations and training samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as mask_util

from yolov7.d2 import BitMasks, BoxMode, Instances, PolygonMasks, polygons_to_bitmask
from yolov7.visualization.colors import Color, class_color
from yolov7.visualization.draw import check_image, draw_boxes, draw_masks


class Visualizer:
    """Draws objects onto pictures, each class in its colour.

    Args:
        class_names: names by class index; a class beyond them is shown by its number.
        mask_alpha: weight of the colour inside a mask, in [0, 1].
        min_side: pictures whose shorter side has fewer pixels are enlarged by a whole factor, so
            that names stay readable on tiny ones; 0 keeps every size.
    """

    def __init__(
        self, class_names: Sequence[str] = (), *, mask_alpha: float = 0.45, min_side: int = 0
    ) -> None:
        self.class_names = tuple(class_names)
        self.mask_alpha = mask_alpha
        self.min_side = min_side

    def draw_instances(self, image_bgr: np.ndarray, instances: Instances) -> np.ndarray:
        """Draw detections with their scores, or ground truth.

        Args:
            image_bgr: (H, W, 3) uint8.
            instances: of the same image size, on any device, with `pred_boxes`, `pred_classes`,
                and, where known, `scores` and `pred_masks`; or with `gt_boxes`, `gt_classes` and,
                where known, `gt_masks`.

        Returns:
            A new picture (H, W, 3), or larger, see `min_side`.

        Raises:
            ValueError: the image is of the wrong kind or not of the instances' size.
        """
        check_image(image_bgr)
        height, width = image_bgr.shape[:2]
        if tuple(instances.image_size) != (height, width):
            raise ValueError(
                f"the image is {height} by {width}, but its instances are for an image of "
                f"{instances.image_size[0]} by {instances.image_size[1]} (height by width)"
            )
        prefix = "pred_" if instances.has("pred_boxes") else "gt_"
        classes = _to_numpy(instances.get(prefix + "classes")).astype(int).tolist()
        labels = [self._name(index) for index in classes]
        if instances.has("scores"):
            scores = _to_numpy(instances.scores).tolist()
            labels = [f"{name} {score:.2f}" for name, score in zip(labels, scores, strict=True)]
        masks = None
        if instances.has(prefix + "masks"):
            masks = _masks_to_numpy(instances.get(prefix + "masks"), height, width)
        boxes = _to_numpy(instances.get(prefix + "boxes").tensor)
        return self._draw_classes(image_bgr, boxes, classes, labels, masks)

    def draw_record(self, image_bgr: np.ndarray, record: Mapping[str, Any]) -> np.ndarray:
        """Draw the annotations of a record as the data set has them; crowds are marked.

        Args:
            image_bgr: (H, W, 3) uint8, the record's image.
            record: detectron2's standard dict; masks are drawn where it has segmentations.

        Returns:
            A new picture (H, W, 3), or larger, see `min_side`.

        Raises:
            ValueError: the image is of the wrong kind.
        """
        check_image(image_bgr)
        height, width = image_bgr.shape[:2]
        annotations = record["annotations"]
        boxes = [
            BoxMode.convert(list(item["bbox"]), item["bbox_mode"], BoxMode.XYXY_ABS)
            for item in annotations
        ]
        classes = [int(item["category_id"]) for item in annotations]
        labels = [
            self._name(index) + (" (crowd)" if item.get("iscrowd", 0) else "")
            for index, item in zip(classes, annotations, strict=True)
        ]
        masks = masks_of_annotations(annotations, (height, width))
        boxes = np.array(boxes).reshape(-1, 4)
        return self._draw_classes(image_bgr, boxes, classes, labels, masks)

    def draw_sample(self, sample: Mapping[str, Any], input_format: str = "BGR") -> np.ndarray:
        """Draw a mapper's sample: the image as the network gets it, and its ground truth.

        Args:
            sample: with `image` (3, H, W), uint8 or float of 0 to 255, and `instances` if there is
                ground truth.
            input_format: the order of its channels, `INPUT.FORMAT`: "BGR" or "RGB".

        Returns:
            A new BGR picture (H, W, 3), or larger, see `min_side`.

        Raises:
            ValueError: an unknown `input_format`.
        """
        image = _to_numpy(sample["image"].clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)
        if input_format not in ("BGR", "RGB"):
            raise ValueError(f"input_format must be 'BGR' or 'RGB', got {input_format!r}")
        if input_format == "RGB":
            image = image[..., ::-1]
        image = np.ascontiguousarray(image)
        instances = sample.get("instances")
        if instances is None:
            return self.draw_objects(image, np.zeros((0, 4)), colors=[], labels=[])
        return self.draw_instances(image, instances)

    def draw_objects(
        self,
        image: np.ndarray,
        boxes: np.ndarray,
        *,
        colors: Sequence[Color],
        labels: Sequence[str],
        masks: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw boxes and masks in given colours, large ones first.

        Args:
            image: (H, W, 3) uint8.
            boxes: (N, 4) xyxy pixels.
            colors: N colours in the image's channel order.
            labels: N texts.
            masks: (N, H, W) bool, if there are any.

        Returns:
            A new picture (H, W, 3), or larger, see `min_side`.
        """
        factor = max(1, math.ceil(self.min_side / min(image.shape[:2])))
        if factor > 1:
            image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        order = np.argsort(-areas, kind="stable")
        ordered_colors = [colors[i] for i in order]
        if masks is not None:
            enlarged = masks[order].repeat(factor, axis=1).repeat(factor, axis=2)
            image = draw_masks(image, enlarged, colors=ordered_colors, alpha=self.mask_alpha)
        shown = [labels[i] for i in order]
        return draw_boxes(image, boxes[order] * factor, colors=ordered_colors, labels=shown)

    def _draw_classes(
        self,
        image_bgr: np.ndarray,
        boxes: np.ndarray,
        classes: Sequence[int],
        labels: Sequence[str],
        masks: np.ndarray | None,
    ) -> np.ndarray:
        colors = [class_color(index)[::-1] for index in classes]
        return self.draw_objects(image_bgr, boxes, colors=colors, labels=labels, masks=masks)

    def _name(self, index: int) -> str:
        return self.class_names[index] if index < len(self.class_names) else str(index)


def masks_of_annotations(
    annotations: Sequence[Mapping[str, Any]], image_size: tuple[int, int]
) -> np.ndarray | None:
    """Rasterise the segmentations of a record's annotations.

    Args:
        annotations: of one image.
        image_size: (height, width).

    Returns:
        (N, H, W) bool, empty for those without segmentation; None if none has one.
    """
    if not any("segmentation" in item for item in annotations):
        return None
    masks = np.zeros((len(annotations), *image_size), bool)
    for mask, item in zip(masks, annotations, strict=True):
        mask[:] = _rasterize(item.get("segmentation", []), *image_size)
    return masks


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _masks_to_numpy(
    masks: torch.Tensor | BitMasks | PolygonMasks, height: int, width: int
) -> np.ndarray:
    """Turn masks of any kind into an array (N, height, width) of bool."""
    if isinstance(masks, PolygonMasks):
        drawn = [polygons_to_bitmask(parts, height, width) for parts in masks.polygons]
        return np.array(drawn, bool).reshape(-1, height, width)
    return _to_numpy(masks.tensor if isinstance(masks, BitMasks) else masks).astype(bool)


def _rasterize(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Turn polygons or run lengths (compressed or not) into a mask (height, width) of bool."""
    if isinstance(segmentation, dict):
        if isinstance(segmentation["counts"], list):
            segmentation = mask_util.frPyObjects(segmentation, *segmentation["size"])
        return mask_util.decode(segmentation).astype(bool)
    return polygons_to_bitmask([np.asarray(part) for part in segmentation], height, width)
