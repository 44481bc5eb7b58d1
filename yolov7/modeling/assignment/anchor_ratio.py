"""Assignment by the anchors' shapes alone, as YOLOv5 does and YOLOv7 in its plain loss."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.anchor_cells import anchor_cells, check_num_cells
from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.dynamic_k import check_labels
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import at_least_float32, elementwise_iou
from yolov7.utils.expectations import expect


@ASSIGNER_REGISTRY.register()
class AnchorRatio:
    """Every anchor of a similar size in the cells next to an object's centre answers for it.

    See :func:`~yolov7.modeling.assignment.anchor_cells.anchor_cells` for the search. There is no
    competition: a prediction near several objects answers for all of them, and what the network
    predicts does not matter.

    Args:
        max_anchor_ratio: an anchor may be this many times longer or shorter on a side.
        num_cells: 3 or 5 cells around the centre.

    Raises:
        ConfigError: ``num_cells`` is neither, or the ratio not above 1.
    """

    needs_anchors = True

    @configurable
    def __init__(self, *, max_anchor_ratio: float = 4.0, num_cells: int = 3) -> None:
        ratio_key = "MODEL.ASSIGNER.MAX_ANCHOR_RATIO"
        expect(max_anchor_ratio > 1, ratio_key, "more than 1", max_anchor_ratio)
        self.max_anchor_ratio = max_anchor_ratio
        self.num_cells = check_num_cells(num_cells)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER``."""
        assigner = cfg.MODEL.ASSIGNER
        return {"max_anchor_ratio": assigner.MAX_ANCHOR_RATIO, "num_cells": assigner.CELLS}

    def with_num_cells(self, num_cells: int) -> AnchorRatio:
        """The same assigner with another number of cells."""
        return AnchorRatio(max_anchor_ratio=self.max_anchor_ratio, num_cells=num_cells)

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            predictions: of B images, with anchors.
            pred_boxes: ``(B, P, 4)`` decoded boxes, xyxy pixels; only ``matched_iou`` needs them.
            targets: M objects.

        Returns:
            The pairs, ordered by object, then as the search finds them. The device is waited for
            twice, not at all when M = 0.

        Raises:
            ValueError: for predictions without anchors.
            DatasetError: for a label that is not in ``[0, K)``.
        """
        pred_boxes = at_least_float32(pred_boxes)
        if len(targets) == 0 or predictions.num_predictions == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
        lowest, highest = torch.stack([targets.labels.min(), targets.labels.max()]).tolist()
        check_labels(lowest, highest, predictions.num_classes)
        boxes = targets.boxes.to(pred_boxes.dtype)
        index, found = anchor_cells(
            boxes, predictions, max_ratio=self.max_anchor_ratio, num_cells=self.num_cells
        )
        target_index, column = torch.nonzero(found, as_tuple=True)
        image_index = targets.image_index[target_index]
        prediction_index = index[target_index, column]
        matched = pred_boxes[image_index, prediction_index]
        return Assignment(
            image_index=image_index,
            prediction_index=prediction_index,
            target_index=target_index,
            matched_iou=elementwise_iou(matched, boxes[target_index]),
        )
