"""Uniform matching, the label assignment of YOLOF: as many predictions for every object."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.assignment import Assignment, last_pairs
from yolov7.modeling.assignment.dynamic_k import check_labels, default_max_pairs
from yolov7.modeling.assignment.overlap import largest_iou
from yolov7.modeling.box_coders.yolof import corner_anchors
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import (
    at_least_float32,
    cxcywh_to_xyxy,
    elementwise_iou,
    xyxy_to_cxcywh,
)
from yolov7.utils.expectations import expect


@ASSIGNER_REGISTRY.register()
class UniformMatcher:
    """The nearest predictions and the nearest anchors answer for an object, so many of each.

    YOLOF (arXiv 2103.09460, section 4.2), as its authors' code has it. Distance is the sum of the
    four differences of centre, width and height. (The paper takes the nearest anchors alone.)

    The pairs of an image are listed rank by rank: the nearest prediction of its first object, of
    its second and so on, the nearest *anchors* of the objects likewise, then the second nearest
    predictions and anchors, and so on. The order has a meaning: of several pairs of a prediction
    the last one says what it is taught. A pair whose anchor overlaps the object too little is
    listed, too, but not part of the answer; where it comes last, the prediction is ignored.
    Predictions that overlap some object much are ignored where no pair says otherwise.

    Args:
        top_k: predictions, and anchors, of an object. They may be the same ones.
        min_anchor_iou: IoU of an anchor and its object below which their pair does not count.
        ignore_threshold: IoU above which a prediction without a pair is not called background.
        max_pairs: (object, prediction) distances at once; bounds the memory. By default what suits
            the device.

    Raises:
        ConfigError: a number is out of range.
    """

    needs_anchors = True

    @configurable
    def __init__(
        self,
        *,
        top_k: int = 4,
        min_anchor_iou: float = 0.15,
        ignore_threshold: float = 0.7,
        max_pairs: int | None = None,
    ) -> None:
        expect(top_k >= 1, "MODEL.ASSIGNER.TOP_K", "at least 1", top_k)
        for key, share in {
            "MODEL.ASSIGNER.MIN_ANCHOR_IOU": min_anchor_iou,
            "MODEL.YOLO.IGNORE_THRESHOLD": ignore_threshold,
        }.items():
            expect(0 <= share <= 1, key, "a number in [0, 1]", share)
        self.top_k = top_k
        self.min_anchor_iou = min_anchor_iou
        self.ignore_threshold = ignore_threshold
        self.max_pairs = max_pairs

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER`` and ``MODEL.YOLO.IGNORE_THRESHOLD``."""
        return {
            "top_k": cfg.MODEL.ASSIGNER.TOP_K,
            "min_anchor_iou": cfg.MODEL.ASSIGNER.MIN_ANCHOR_IOU,
            "ignore_threshold": cfg.MODEL.YOLO.IGNORE_THRESHOLD,
        }

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            predictions: of B images, with anchors.
            pred_boxes: ``(B, P, 4)`` decoded boxes, xyxy pixels.
            targets: M objects.

        Returns:
            The pairs that count, by image and in the order of the list, and the ignored
            predictions. Which of equally distant ones are the nearest is `torch.topk`'s choice, as
            in the authors' code. The device is waited for twice, not at all when M = 0.

        Raises:
            ValueError: for predictions without anchors.
            DatasetError: for a label that is not in ``[0, K)``.
        """
        if predictions.anchors is None:
            raise ValueError("UniformMatcher needs predictions with anchors")
        pred_boxes = at_least_float32(pred_boxes)
        if len(targets) == 0 or predictions.num_predictions == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
        lowest, highest = torch.stack([targets.labels.min(), targets.labels.max()]).tolist()
        check_labels(lowest, highest, predictions.num_classes)
        boxes = targets.boxes.to(pred_boxes.dtype)
        anchors = corner_anchors(*predictions.places()).to(pred_boxes.dtype)
        target_index, prediction_index = self._pairs(
            xyxy_to_cxcywh(pred_boxes), anchors, xyxy_to_cxcywh(boxes), targets.image_index
        )
        image_index = targets.image_index[target_index]
        overlap = elementwise_iou(cxcywh_to_xyxy(anchors)[prediction_index], boxes[target_index])
        counts = overlap >= self.min_anchor_iou
        near = largest_iou(pred_boxes, boxes, targets.image_index, max_pairs=self.max_pairs)
        last = last_pairs(image_index, prediction_index, predictions)
        ignored = torch.where(last >= 0, ~counts[last], near > self.ignore_threshold)

        kept = torch.nonzero(counts).squeeze(1)
        image_index, prediction_index = image_index[kept], prediction_index[kept]
        target_index = target_index[kept]
        matched = pred_boxes[image_index, prediction_index]
        return Assignment(
            image_index=image_index,
            prediction_index=prediction_index,
            target_index=target_index,
            matched_iou=elementwise_iou(matched, boxes[target_index]),
            ignored=ignored,
        )

    def _pairs(
        self, pred_cxcywh: Tensor, anchors_cxcywh: Tensor, boxes_cxcywh: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Objects and predictions of all pairs, by image and in the order of the list."""
        limit = self.max_pairs or default_max_pairs(pred_cxcywh.device)
        rows = max(limit // len(anchors_cxcywh), 1)
        # Differences of one coordinate at a time are rows of memory.
        columns, anchor_columns = pred_cxcywh.mT.contiguous(), anchors_cxcywh.mT.contiguous()
        nearest = []
        for objects, images in zip(boxes_cxcywh.split(rows), image.split(rows), strict=True):
            sources = (columns[images], anchor_columns[None])
            nearest.append(torch.stack([self._nearest(objects, of) for of in sources], dim=2))
        listed = torch.cat(nearest).flatten(1).mT  # (top_k · 2, M): ranks, predictions and anchors
        target = torch.arange(len(image), device=image.device).expand_as(listed).flatten()
        order = image[target].argsort(stable=True)
        return target[order], listed.flatten()[order]

    def _nearest(self, objects: Tensor, columns: Tensor) -> Tensor:
        """The nearest boxes ``(r, top_k)`` of each object, nearest first.

        Args:
            objects: ``(r, 4)`` centre, width and height.
            columns: ``(r or 1, 4, P)`` of the boxes.
        """
        distance = sum((columns[:, axis] - objects[:, axis, None]).abs() for axis in range(4))
        return distance.topk(min(self.top_k, distance.shape[1]), dim=1, largest=False).indices
