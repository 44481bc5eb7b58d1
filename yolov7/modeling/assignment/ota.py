"""YOLOv7's label assignment: dynamic k over the candidates that the anchors allow."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.anchor_cells import anchor_cells, check_num_cells
from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.dynamic_k import (
    CheapestObjects,
    collect_candidates,
    count_places,
    default_max_pairs,
    owned_pairs,
    settle,
    take_cheapest,
)
from yolov7.modeling.assignment.pair_costs import PairCosts, dynamic_k
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import at_least_float32
from yolov7.utils.expectations import expect


@ASSIGNER_REGISTRY.register()
class OTA:
    """Assigns to each object its k cheapest candidates, k following from the predictions' IoUs.

    YOLOv7 (arXiv 2207.02696; OTA: arXiv 2103.14259), as its authors' code defines it. For each
    image:

    1. A prediction whose anchor is like some object and whose cell is near that object's centre
       (:func:`~yolov7.modeling.assignment.anchor_cells.anchor_cells`) is a *candidate* of the
       image, for all its objects. Found by several objects it is that many candidates, which may
       go to different objects.
    2. The cost of (object, candidate) is ``class_cost · C_class + iou_cost · C_iou``: the binary
       cross entropy, summed over the classes, of ``sqrt(σ(class) · σ(objectness))`` against the
       object's class, and ``−ln(IoU + 1e-8)``.
    3. The object takes its k cheapest candidates, k = max(1, ⌊sum of its ``top_k`` best IoUs over
       all candidates of the image⌋).
    4. A candidate taken by several objects goes to the object of the image for which it is
       cheapest, whether or not that one took it.

    Differences from the authors' code, all on purpose:

    * boxes are compared in pixels of both axes. There the objects' x are scaled by the image's
      *height*, which is wrong for images that are not square;
    * equal costs, such as those of one prediction found twice, are decided for the earlier
      candidate (step 3) and the earlier object (step 4). There they are left to the device;
    * an image, or a batch, without any match is ordinary, on any device.

    Everything is computed in at least float32, without gradient and without autocast. NaN and
    infinite predictions do not raise: a NaN box overlaps nothing, a NaN score costs more than any
    finite one. There is no table of (object, candidate, class): the cross entropy over all classes
    is that of no class, one number a candidate, corrected for the object's class.

    Args:
        max_anchor_ratio: an anchor's sides may be this many times longer or shorter.
        num_cells: 3 or 5 cells around the centre.
        top_k: number of best IoUs that are summed (the authors: 10 for three levels, 20 for four).
        class_cost: weight of the class cost.
        iou_cost: weight of the IoU cost.
        max_pairs: bound on the (object, candidate) pairs in memory at once, chosen by the device
            when None; it changes memory and speed, never the result.

    Raises:
        ConfigError: ``num_cells`` is neither 3 nor 5, the ratio not above 1, ``top_k`` less than 1
            or a cost below 0.
    """

    needs_anchors = True
    needs_objectness = True

    @configurable
    def __init__(
        self,
        *,
        max_anchor_ratio: float = 4.0,
        num_cells: int = 3,
        top_k: int = 10,
        class_cost: float = 1.0,
        iou_cost: float = 3.0,
        max_pairs: int | None = None,
    ) -> None:
        ratio_key = "MODEL.ASSIGNER.MAX_ANCHOR_RATIO"
        expect(max_anchor_ratio > 1, ratio_key, "more than 1", max_anchor_ratio)
        expect(top_k >= 1, "MODEL.ASSIGNER.TOP_K", "at least 1", top_k)
        costs = (class_cost, iou_cost)
        expect(min(costs) >= 0, "MODEL.ASSIGNER: CLASS_COST and IOU_COST", "at least 0", costs)
        self.max_anchor_ratio = max_anchor_ratio
        self.num_cells = check_num_cells(num_cells)
        self.top_k = top_k
        self.class_cost = class_cost
        self.iou_cost = iou_cost
        self.max_pairs = max_pairs

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER``."""
        assigner = cfg.MODEL.ASSIGNER
        return {
            "max_anchor_ratio": assigner.MAX_ANCHOR_RATIO,
            "num_cells": assigner.CELLS,
            "top_k": assigner.TOP_K,
            "class_cost": assigner.CLASS_COST,
            "iou_cost": assigner.IOU_COST,
        }

    def with_num_cells(self, num_cells: int) -> OTA:
        """The same assigner with another number of cells."""
        return OTA(
            max_anchor_ratio=self.max_anchor_ratio,
            num_cells=num_cells,
            top_k=self.top_k,
            class_cost=self.class_cost,
            iou_cost=self.iou_cost,
            max_pairs=self.max_pairs,
        )

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            predictions: of B images, with anchors and objectness.
            pred_boxes: ``(B, P, 4)`` decoded boxes, xyxy pixels.
            targets: M objects.

        Returns:
            The pairs. The device is waited for twice, not at all when M = 0.

        Raises:
            ValueError: for predictions without anchors or objectness.
            DatasetError: for a label that is not in ``[0, K)``.
        """
        if predictions.objectness_logits is None:
            raise ValueError("OTA needs predictions with objectness_logits")
        pred_boxes = at_least_float32(pred_boxes)
        if len(targets) == 0 or predictions.num_predictions == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
        with torch.autocast(pred_boxes.device.type, enabled=False):
            return self._assign(predictions.at_least_float32(), pred_boxes, targets)

    def _assign(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        max_pairs = self.max_pairs or default_max_pairs(pred_boxes.device)
        count = predictions.num_predictions
        prediction_index, found = anchor_cells(
            targets.boxes.to(pred_boxes.dtype),
            predictions,
            max_ratio=self.max_anchor_ratio,
            num_cells=self.num_cells,
        )
        place = targets.image_index[:, None] * count + prediction_index
        # The first of two waits for the device: the sizes of all that follows.
        copies = count_places(place, found, predictions)
        candidates, _ = collect_candidates(copies, predictions, targets.labels)
        if len(candidates) == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
        costs = PairCosts.make(
            predictions,
            pred_boxes,
            targets,
            candidates,
            class_weight=self.class_cost,
            iou_weight=self.iou_cost,
            max_elements=max_pairs,
        )
        objects = torch.arange(len(targets), device=place.device)
        cheapest = CheapestObjects(len(candidates), like=pred_boxes)
        taken = []
        for rows, image, iou in costs.iou_rows(objects, targets, max_pairs=max_pairs):
            positions, valid = candidates.of_images(image, iou.shape[1])
            cost = costs.cost(rows[:, None], positions, iou).masked_fill(~valid, torch.inf)
            num_cells = dynamic_k(iou, top_k=self.top_k)
            taken.append(take_cheapest(cost, positions, num_cells, self.top_k))
            cheapest.update(rows, positions, cost)
        # The second wait: how many pairs there are.
        return owned_pairs(settle(torch.cat(taken), cheapest), costs, count)
