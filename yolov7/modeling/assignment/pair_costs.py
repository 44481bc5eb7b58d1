"""Costs of giving cells to objects, as SimOTA defines them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yolov7.modeling.assignment.candidates import Candidates
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import at_least_float32, box_area, elementwise_iou

LARGEST_COORDINATE = 1e18
"""Predicted coordinates are kept within it, so that areas stay finite in float32."""

LOWEST_LOG = -100.0
"""Logarithms of probabilities are raised to it, as in torch's binary cross entropy."""


@dataclass(frozen=True, eq=False)
class PairCosts:
    """Everything needed for the cost of any (object, candidate) pair of a batch.

    Made with :meth:`make`. Objects are named by their index in ``Targets``, candidates by their
    place ``image · P + prediction``.
    """

    pred_boxes: Tensor
    class_logits: Tensor
    objectness_logits: Tensor
    target_boxes: Tensor
    labels: Tensor
    candidates: Candidates
    no_class_cost: Tensor
    class_weight: float
    iou_weight: float

    @staticmethod
    def make(
        predictions: DensePredictions,
        pred_boxes: Tensor,
        targets: Targets,
        candidates: Candidates,
        *,
        class_weight: float,
        iou_weight: float,
        max_elements: int,
    ) -> PairCosts:
        """Prepare what does not depend on the objects.

        Args:
            predictions: of B images, with objectness.
            pred_boxes: ``(B, P, 4)`` decoded boxes.
            targets: M objects.
            candidates: T candidates, the only places that may be asked for.
            class_weight: of the class cost.
            iou_weight: of the IoU cost.
            max_elements: bound on the scores in memory at once.
        """
        boxes = at_least_float32(pred_boxes).flatten(0, 1).nan_to_num(0.0)
        boxes = boxes.clamp(-LARGEST_COORDINATE, LARGEST_COORDINATE)
        class_logits = predictions.class_logits.flatten(0, 1)
        objectness_logits = predictions.objectness_logits.flatten()
        rows = max(1, max_elements // max(predictions.num_classes, 1))
        no_class_cost = [
            -_log(-_score(class_logits[part], objectness_logits[part, None]), plus_one=True).sum(1)
            for part in candidates.place.split(rows)
        ]
        return PairCosts(
            pred_boxes=boxes,
            class_logits=class_logits,
            objectness_logits=objectness_logits,
            target_boxes=targets.boxes.to(boxes.dtype),
            labels=targets.labels,
            candidates=candidates,
            no_class_cost=torch.cat(no_class_cost),
            class_weight=class_weight,
            iou_weight=iou_weight,
        )

    def iou(self, target_index: Tensor, place: Tensor) -> Tensor:
        """IoU of objects and predictions, both index tensors ``(...)`` and broadcast."""
        return elementwise_iou(self.target_boxes[target_index], self.pred_boxes[place])

    def cost(self, target_index: Tensor, place: Tensor) -> Tensor:
        """Cost of pairs, both index tensors ``(...)`` and broadcast; finite, NaN scores too.

        The class cost of all K classes needs one number per candidate, the cost of predicting no
        class at all, and the object's own class: Σ_c −ln(1−q_c) + ln(1−q_t) − ln(q_t).
        """
        labels = self.labels[target_index]
        score = _score(self.class_logits[place, labels], self.objectness_logits[place])
        none = self.no_class_cost[self.candidates.position[place]]
        class_cost = none + _log(-score, plus_one=True) - _log(score)
        iou_cost = -(self.iou(target_index, place) + 1e-8).log()
        cost = self.class_weight * class_cost + self.iou_weight * iou_cost
        return cost.nan_to_num(torch.finfo(cost.dtype).max)

    def best_iou_sums(self, targets: Targets, *, best: int, max_pairs: int) -> Tensor:
        """For each object the sum of its ``best`` largest IoUs with its image's candidates.

        Args:
            targets: M objects, whose images decide which candidates count.
            best: how many IoUs are summed.
            max_pairs: bound on the pairs in memory at once.

        Returns:
            ``(M,)`` float64, so that the order of the sum does not decide a floor.
        """
        width = max(self.candidates.most, best)
        images = torch.arange(targets.num_images, device=self.labels.device)
        positions, valid = self.candidates.of_images(images, width)
        # A box without extent at the origin overlaps nothing.
        boxes = self.pred_boxes[self.candidates.place[positions]] * valid[..., None]
        x0, y0, x1, y1 = (side.contiguous() for side in boxes.unbind(-1))
        areas = box_area(boxes)
        # A union of 0 would be 0 / 0; anything positive gives the IoU 0 that is meant.
        target_areas = box_area(self.target_boxes).clamp(min=torch.finfo(boxes.dtype).tiny)
        rows = max(1, max_pairs // width)
        sums = []
        for index, box, area in zip(
            targets.image_index.split(rows),
            self.target_boxes[..., None].split(rows),
            target_areas[:, None].split(rows),
            strict=True,
        ):
            # In place where a temporary can be spared: this is the step's largest table.
            overlap = torch.minimum(x1[index], box[:, 2])
            overlap.sub_(torch.maximum(x0[index], box[:, 0])).clamp_(min=0)
            heights = torch.minimum(y1[index], box[:, 3])
            heights.sub_(torch.maximum(y0[index], box[:, 1])).clamp_(min=0)
            overlap.mul_(heights)
            union = (area + areas[index]).sub_(overlap)
            sums.append(overlap.div_(union).topk(best, dim=1).values.double().sum(dim=1))
        return torch.cat(sums)


def _score(class_logits: Tensor, objectness_logits: Tensor) -> Tensor:
    """The geometric mean of class and objectness probability, in at least float32."""
    scores = at_least_float32(class_logits).sigmoid()
    return (scores * at_least_float32(objectness_logits).sigmoid()).sqrt()


def _log(value: Tensor, *, plus_one: bool = False) -> Tensor:
    """``ln(value)``, or ``ln(1 + value)``, not below ``LOWEST_LOG``."""
    return (value.log1p() if plus_one else value.log()).clamp(min=LOWEST_LOG)
