"""From dense predictions to detections in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import Boxes, CfgNode, ImageList, Instances, configurable
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.postprocessing.class_choice import CLASSES_PER_BOX, ClassChoice, best_class
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import POSTPROCESSOR_REGISTRY
from yolov7.ops.box_ops import clip_boxes, nonempty_boxes
from yolov7.ops.nms import NMS, NMS_TYPES, Sources
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may become a detection of one image.

    Attributes:
        boxes: ``(N, 4)`` xyxy pixels of the padded frame, finite.
        scores: ``(N,)``.
        classes: ``(N,)`` int64.
        views: which view of the image showed each, where there are several.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    views: Sources | None = None

    @classmethod
    def of_views(cls, views: Sequence[Candidates]) -> Candidates:
        """What several views of an image show, all in the same frame."""
        sources = Sources.of_parts([view.scores for view in views])
        return cls(
            boxes=torch.cat([view.boxes for view in views]),
            scores=torch.cat([view.scores for view in views]),
            classes=torch.cat([view.classes for view in views]),
            views=sources if len(views) > 1 else None,
        )

    def best(self, most: int) -> Candidates:
        """Those with the best scores, in their order; itself when there are no more."""
        if len(self.scores) <= most:
            return self
        order = self.scores.argsort(descending=True, stable=True)[:most].sort().values
        views = None if self.views is None else self.views[order]
        return Candidates(self.boxes[order], self.scores[order], self.classes[order], views)


@POSTPROCESSOR_REGISTRY.register()
class DensePostprocessor:
    """Chooses the detections of each image and moves them back into the original image.

    1. `candidates`: a box's score for a class is σ(class) · σ(objectness), or σ(class) alone for
       heads without objectness. ``class_choice`` decides whether a box is reported with its best
       class or with every class that reaches ``score_threshold``. Boxes that are not finite go, and
       of more than ``max_candidates`` the best stay.
    2. `finish`: suppression; the best ``max_detections`` stay.
    3. ``(box − offset) · original / resized``, clipped to the original image; boxes without extent
       there go.

    Images of a batch do not affect one another. Only predictions whose objectness reaches the
    threshold are looked at further, which does not change the result.

    Args:
        box_coder: of the head's family.
        score_threshold: lowest score that is reported.
        nms: one of `NMS_TYPES` with its threshold; it may change boxes and scores.
        max_detections: most detections of an image.
        class_choice: see `yolov7.modeling.postprocessing.class_choice`.
        max_candidates: most candidates of an image, the best; bounds the work of suppression.
    """

    @configurable
    def __init__(
        self,
        *,
        box_coder: BoxCoder,
        score_threshold: float,
        nms: NMS,
        max_detections: int,
        class_choice: ClassChoice = best_class,
        max_candidates: int = 30_000,
    ) -> None:
        self.box_coder = box_coder
        self.score_threshold = score_threshold
        self.nms = nms
        self.max_detections = max_detections
        self.class_choice = class_choice
        self.max_candidates = max_candidates

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read thresholds, limits and choices; the family gives the coder.

        Raises:
            ConfigError: for an unknown ``MODEL.NMS_TYPE`` or ``MODEL.CLASSES_PER_BOX``, or a
                number out of range.
        """
        yolo, test = cfg.MODEL.YOLO, cfg.TEST
        for key, share in {
            "MODEL.YOLO.CONF_THRESHOLD": yolo.CONF_THRESHOLD,
            "MODEL.YOLO.NMS_THRESHOLD": yolo.NMS_THRESHOLD,
        }.items():
            expect(0 <= share <= 1, key, "a number in [0, 1]", share)
        for key, limit in {
            "TEST.DETECTIONS_PER_IMAGE": test.DETECTIONS_PER_IMAGE,
            "TEST.CANDIDATES_PER_IMAGE": test.CANDIDATES_PER_IMAGE,
        }.items():
            expect(limit >= 1, key, "at least 1", limit)
        nms = look_up(NMS_TYPES, cfg.MODEL.NMS_TYPE, "MODEL.NMS_TYPE")
        return {
            "box_coder": box_coder,
            "score_threshold": yolo.CONF_THRESHOLD,
            "nms": partial(nms, threshold=yolo.NMS_THRESHOLD),
            "max_detections": test.DETECTIONS_PER_IMAGE,
            "class_choice": look_up(
                CLASSES_PER_BOX, cfg.MODEL.CLASSES_PER_BOX, "MODEL.CLASSES_PER_BOX"
            ),
            "max_candidates": test.CANDIDATES_PER_IMAGE,
        }

    def __call__(
        self,
        predictions: DensePredictions,
        images: ImageList,
        original_sizes: Sequence[tuple[int, int]],
        offsets: Tensor | Sequence[tuple[float, float]],
    ) -> list[Instances]:
        """Detections of every image: `finish` of their `candidates`."""
        return self.finish(self.candidates(predictions), images, original_sizes, offsets)

    @torch.no_grad()
    def candidates(self, predictions: DensePredictions) -> list[Candidates]:
        """What reaches the threshold in each of the B images, in float32 or float64."""
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            image_index, index, scores, classes = self._above_threshold(predictions)
            deltas = predictions.box_deltas[image_index, index]
            boxes = self.box_coder.decode(deltas, *predictions.places(index))
            finite = boxes.isfinite().all(dim=1)
            counts = torch.bincount(image_index[finite], minlength=predictions.num_images).tolist()
            return [
                Candidates(*of_image)
                for of_image in zip(
                    boxes[finite].split(counts),
                    scores[finite].split(counts),
                    classes[finite].split(counts),
                    strict=True,
                )
            ]

    @torch.no_grad()
    def finish(
        self,
        candidates: Sequence[Candidates],
        images: ImageList,
        original_sizes: Sequence[tuple[int, int]],
        offsets: Tensor | Sequence[tuple[float, float]],
    ) -> list[Instances]:
        """Choose among candidates and move them into the original images.

        Args:
            candidates: of B images.
            images: the batch; its ``image_sizes`` are the (height, width) of the images in it.
            original_sizes: (height, width) to which results are scaled.
            offsets: ``(B, 2)`` pixels (x, y) of each image's top-left corner in the padded frame.

        Returns:
            one ``Instances`` an image, in its original size, with ``pred_boxes`` (Boxes),
            ``scores`` and ``pred_classes`` (int64), best first, on the candidates' device.
        """
        if not candidates:
            return []
        like = candidates[0].boxes
        offsets = torch.as_tensor(offsets, dtype=like.dtype, device=like.device).reshape(-1, 2)
        return [
            self._detections(*of_image)
            for of_image in zip(
                candidates, images.image_sizes, original_sizes, offsets, strict=True
            )
        ]

    def _above_threshold(
        self, predictions: DensePredictions
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image, prediction, score and class of the candidates, ordered by image."""
        class_logits, objectness_logits = predictions.class_logits, predictions.objectness_logits
        if objectness_logits is None:
            objectness = torch.ones_like(predictions.box_deltas[..., 0])
        else:
            objectness = objectness_logits.sigmoid()
        # A score never exceeds its objectness, so most predictions end here.
        image_index, index = torch.nonzero(objectness >= self.score_threshold, as_tuple=True)
        rows, classes, scores = self.class_choice(
            class_logits[image_index, index], objectness[image_index, index], self.score_threshold
        )
        image_index, index = image_index[rows], index[rows]
        if len(scores) > self.max_candidates:
            kept = best_of_each(image_index, scores, self.max_candidates)
            image_index, index = image_index[kept], index[kept]
            scores, classes = scores[kept], classes[kept]
        return image_index, index, scores, classes

    def _detections(
        self,
        candidates: Candidates,
        resized: tuple[int, int],
        original: tuple[int, int],
        offset: Tensor,
    ) -> Instances:
        candidates = candidates.best(self.max_candidates)
        kept = self.nms(
            candidates.boxes,
            candidates.scores,
            candidates.classes,
            sources=candidates.views,
            most=self.max_detections,
            lowest=self.score_threshold,
        )
        height, width = (int(side) for side in original)
        scale = kept.boxes.new_tensor([width / resized[1], height / resized[0]])
        boxes = (kept.boxes - offset.repeat(2)) * scale.repeat(2)
        boxes = clip_boxes(boxes, (height, width))
        visible = nonempty_boxes(boxes)
        return Instances(
            (height, width),
            pred_boxes=Boxes(boxes[visible]),
            scores=kept.scores[visible],
            pred_classes=candidates.classes[kept.index[visible]],
        )


def best_of_each(groups: Tensor, scores: Tensor, most: int) -> Tensor:
    """Indices of the ``most`` best scores of every group, ascending by group, best first.

    Args:
        groups: ``(N,)`` int64, not negative.
        scores: ``(N,)``.
        most: of equal scores the first stay.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    counts = torch.bincount(groups)
    starts = counts.cumsum(0) - counts
    ranks = torch.arange(len(order), device=order.device) - starts[groups[order]]
    return order[ranks < most]
