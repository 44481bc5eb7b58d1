"""From dense predictions to detections in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import Boxes, CfgNode, ImageList, Instances, configurable
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import POSTPROCESSOR_REGISTRY
from yolov7.ops.box_ops import clip_boxes, nonempty_boxes
from yolov7.ops.nms import NMS_TYPES
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

FIRST_ROUND = 1024
"""Detections of an image that the first round of suppression looks at."""


@POSTPROCESSOR_REGISTRY.register()
class DensePostprocessor:
    """Chooses the detections of each image and moves them back into the original image.

    1. A prediction's class is its best one, its score σ(class) · σ(objectness), or σ(class) alone
       for heads without objectness. Those below ``score_threshold`` go, as do boxes that are not
       finite.
    2. Suppression; the best ``max_detections`` stay.
    3. ``(box − offset) · original / resized``, clipped to the original image; boxes without extent
       there go.

    Images of a batch do not affect one another. Only predictions whose objectness reaches the
    threshold are looked at further, and suppression looks at the best 1,024 first and at more only
    when they leave fewer than ``max_detections``. Neither changes the result, since a greedy
    suppression's decision about a detection depends on better ones only.

    Args:
        box_coder: of the head's family.
        score_threshold: lowest score that is reported.
        nms: ``(boxes, scores, classes) -> indices kept``, best first; must be greedy.
        max_detections: most detections of an image.
    """

    @configurable
    def __init__(
        self,
        *,
        box_coder: BoxCoder,
        score_threshold: float,
        nms: Callable[[Tensor, Tensor, Tensor], Tensor],
        max_detections: int,
    ) -> None:
        self.box_coder = box_coder
        self.score_threshold = score_threshold
        self.nms = nms
        self.max_detections = max_detections

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read thresholds, ``MODEL.NMS_TYPE`` and the cap; the family gives the coder.

        Raises:
            ConfigError: for an unknown ``MODEL.NMS_TYPE``.
        """
        nms_type = cfg.MODEL.NMS_TYPE
        if nms_type not in NMS_TYPES:
            raise ConfigError(
                f"MODEL.NMS_TYPE: there is no '{nms_type}'.{suggest(nms_type, NMS_TYPES)}"
            )
        return {
            "box_coder": box_coder,
            "score_threshold": cfg.MODEL.YOLO.CONF_THRESHOLD,
            "nms": partial(NMS_TYPES[nms_type], threshold=cfg.MODEL.YOLO.NMS_THRESHOLD),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    @torch.no_grad()
    def __call__(
        self,
        predictions: DensePredictions,
        images: ImageList,
        original_sizes: Sequence[tuple[int, int]],
        offsets: Tensor | Sequence[tuple[float, float]],
    ) -> list[Instances]:
        """Detections of every image.

        Args:
            predictions: of B images.
            images: the batch; its ``image_sizes`` are the (height, width) of the images in it.
            original_sizes: (height, width) to which results are scaled.
            offsets: ``(B, 2)`` pixels (x, y) of each image's top-left corner in the padded frame.

        Returns:
            one ``Instances`` an image, in its original size, with ``pred_boxes`` (Boxes),
            ``scores`` and ``pred_classes`` (int64), best first, on the predictions' device.
        """
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            image_index, boxes, scores, classes = self._above_threshold(predictions)
            counts = torch.bincount(image_index, minlength=predictions.num_images).tolist()
            offsets = torch.as_tensor(offsets, dtype=boxes.dtype, device=boxes.device)
            return [
                self._detections(*detections, resized, original, offset)
                for *detections, resized, original, offset in zip(
                    boxes.split(counts),
                    scores.split(counts),
                    classes.split(counts),
                    images.image_sizes,
                    original_sizes,
                    offsets.reshape(-1, 2),
                    strict=True,
                )
            ]

    def _above_threshold(
        self, predictions: DensePredictions
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image index, box, score and class of what reaches the threshold, ordered by image."""
        class_logits, objectness_logits = predictions.class_logits, predictions.objectness_logits
        if objectness_logits is None:
            objectness = torch.ones_like(predictions.box_deltas[..., 0])
        else:
            objectness = objectness_logits.sigmoid()
        # A score never exceeds its objectness, so most predictions end here.
        image_index, index = torch.nonzero(objectness >= self.score_threshold, as_tuple=True)
        best, classes = class_logits[image_index, index].max(dim=1)
        scores = best.sigmoid() * objectness[image_index, index]
        chosen = torch.nonzero(scores >= self.score_threshold).squeeze(1)
        image_index, index = image_index[chosen], index[chosen]
        deltas = predictions.box_deltas[image_index, index]
        boxes = self.box_coder.decode(deltas, *predictions.places(index))
        finite = boxes.isfinite().all(dim=1)
        return image_index[finite], boxes[finite], scores[chosen][finite], classes[chosen][finite]

    def _detections(
        self,
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        resized: tuple[int, int],
        original: tuple[int, int],
        offset: Tensor,
    ) -> Instances:
        kept = self._suppress(boxes, scores, classes)
        height, width = (int(side) for side in original)
        scale = boxes.new_tensor([width / resized[1], height / resized[0]])
        boxes = (boxes[kept] - offset.repeat(2)) * scale.repeat(2)
        boxes = clip_boxes(boxes, (height, width))
        visible = nonempty_boxes(boxes)
        kept = kept[visible]
        return Instances(
            (height, width),
            pred_boxes=Boxes(boxes[visible]),
            scores=scores[kept],
            pred_classes=classes[kept],
        )

    def _suppress(self, boxes: Tensor, scores: Tensor, classes: Tensor) -> Tensor:
        order = scores.argsort(descending=True, stable=True)
        looked_at = FIRST_ROUND
        while True:
            part = order[:looked_at]
            kept = part[self.nms(boxes[part], scores[part], classes[part])]
            if len(kept) >= self.max_detections or looked_at >= len(order):
                return kept[: self.max_detections]
            looked_at *= 4
