"""Costs of giving cells to objects, as SimOTA and YOLOv7's OTA define them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from yolov7.modeling.assignment.candidates import Candidates
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import box_area, elementwise_iou

LARGEST_COORDINATE = 1e18
"""Predicted coordinates are kept within it, so that areas stay finite in float32."""

LOWEST_LOG = -100.0
"""Logarithms of probabilities are raised to it, as in torch's binary cross entropy."""


@dataclass(frozen=True, eq=False)
class PairCosts:
    """All that is needed for the cost of any (object, candidate) pair of a batch.

    Made with :meth:`make`. Objects are named by their index in ``Targets``, candidates by their
    position in ``Candidates``.

    Attributes:
        pred_boxes: ``(T, 4)`` of the candidates, finite.
        class_logits: ``(B · P, K)`` of all places.
        objectness_scores: ``(T,)`` after the sigmoid.
        no_class_cost: ``(T,)`` what it costs to be of no class: ``Σ_c −ln(1 − q_c)``.
        target_boxes: ``(M, 4)``.
        labels: ``(M,)``.
        class_weight: weight of the class cost.
        iou_weight: weight of the IoU cost.
        candidates: T candidates.
    """

    pred_boxes: Tensor
    class_logits: Tensor
    objectness_scores: Tensor
    no_class_cost: Tensor
    target_boxes: Tensor
    labels: Tensor
    class_weight: float
    iou_weight: float
    candidates: Candidates

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
            predictions: of B images, float32 or float64, with objectness.
            pred_boxes: ``(B, P, 4)`` decoded boxes.
            targets: M objects.
            candidates: T candidates.
            class_weight: of the class cost.
            iou_weight: of the IoU cost.
            max_elements: bound on the scores in memory at once.
        """
        place = candidates.place
        boxes = pred_boxes.flatten(0, 1).index_select(0, place).nan_to_num_(0.0)
        class_logits = predictions.class_logits.flatten(0, 1)
        objectness = predictions.objectness_logits.flatten().index_select(0, place).sigmoid_()
        rows = max(1, max_elements // max(predictions.num_classes, 1))
        no_class_cost = [
            _no_class_cost(class_logits.index_select(0, part), factor)
            for part, factor in zip(place.split(rows), objectness.split(rows), strict=True)
        ]
        return PairCosts(
            pred_boxes=boxes.clamp_(-LARGEST_COORDINATE, LARGEST_COORDINATE),
            class_logits=class_logits,
            objectness_scores=objectness,
            no_class_cost=torch.cat(no_class_cost),
            target_boxes=targets.boxes.to(boxes.dtype),
            labels=targets.labels,
            class_weight=class_weight,
            iou_weight=iou_weight,
            candidates=candidates,
        )

    def iou(self, target_index: Tensor, position: Tensor) -> Tensor:
        """IoU of objects and candidates, both index tensors ``(...)`` and broadcast."""
        return elementwise_iou(self.target_boxes[target_index], self.pred_boxes[position])

    def cost(self, target_index: Tensor, position: Tensor, iou: Tensor) -> Tensor:
        """Cost of pairs, both index tensors ``(...)`` and broadcast; finite, NaN scores too.

        Over all classes the cross entropy is the cost of being of no class, corrected for the one
        class that is meant: ``Σ_c −ln(1 − q_c) + ln(1 − q_t) − ln(q_t)``.

        Args:
            target_index: objects.
            position: candidates.
            iou: ``(...)`` of the pairs.
        """
        logits = self.class_logits[self.candidates.place[position], self.labels[target_index]]
        score = (logits.sigmoid() * self.objectness_scores[position]).sqrt()
        meant = (-score).log1p().clamp(min=LOWEST_LOG) - score.log().clamp(min=LOWEST_LOG)
        class_cost = self.no_class_cost[position] + meant
        iou_cost = -(iou + 1e-8).log()
        cost = self.class_weight * class_cost + self.iou_weight * iou_cost
        return cost.nan_to_num(torch.finfo(cost.dtype).max)

    def iou_rows(
        self, objects: Tensor, targets: Targets, *, max_pairs: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """IoUs of objects with all candidates of their images, in pieces of bounded size.

        Args:
            objects: ``(R,)`` int64 in ``[0, M)``.
            targets: M objects, whose images decide.
            max_pairs: bound on the pairs of a piece (one object is the least).

        Yields:
            ``(r,)`` objects, ``(r,)`` their images and ``(r, W)`` IoUs, W being the largest number
            of candidates in an image and the columns those of ``Candidates.of_images``; 0 where an
            image has fewer.
        """
        width = self.candidates.most
        images = torch.arange(targets.num_images, device=self.labels.device)
        positions, valid = self.candidates.of_images(images, width)
        # A box without extent at the origin overlaps nothing.
        boxes = self.pred_boxes[positions] * valid[..., None]
        columns = torch.cat([boxes, box_area(boxes)[..., None]], dim=-1).mT.contiguous()
        # A union of 0 would be 0 / 0; anything positive gives the IoU 0 that is meant.
        areas = box_area(self.target_boxes).clamp(min=torch.finfo(boxes.dtype).tiny)
        for rows in objects.split(max(1, max_pairs // max(width, 1))):
            image = targets.image_index[rows]
            iou = _ious(self.target_boxes[rows], areas[rows], columns.index_select(0, image))
            yield rows, image, iou


def dynamic_k(iou: Tensor, *, top_k: int) -> Tensor:
    """How many candidates objects take: ``max(1, ⌊sum of the top_k best IoUs⌋)``.

    Args:
        iou: ``(R, W)`` of objects with all candidates of their images.
        top_k: how many are summed.

    Returns:
        ``(R,)`` int64 in ``[1, top_k]``.
    """
    best = iou.topk(min(top_k, iou.shape[1]), dim=1).values
    # float64, so that the order of the sum does not decide a floor.
    return best.double().sum(dim=1).floor().clamp(1, top_k).long()


def _no_class_cost(class_logits: Tensor, objectness_scores: Tensor) -> Tensor:
    """``Σ_c −ln(1 − q_c)`` of ``(n, K)`` logits, which are overwritten, ``(n,)``."""
    score = class_logits.sigmoid_().mul_(objectness_scores[:, None]).sqrt_()
    return -score.neg_().log1p_().clamp_(min=LOWEST_LOG).sum(dim=1)


def _ious(box: Tensor, area: Tensor, columns: Tensor) -> Tensor:
    """IoU ``(r, W)`` of one box ``(r, 4)`` a row and W boxes a row.

    Args:
        box: ``(r, 4)`` xyxy.
        area: ``(r,)`` of the boxes, positive.
        columns: ``(r, 5, W)`` x0, y0, x1, y1 and area of the others; used up as working memory,
            since this is a step's largest table.
    """
    x0, y0, x1, y1, other_area = columns.unbind(1)
    low_x, low_y, high_x, high_y = box[..., None].unbind(1)
    overlap = torch.minimum(x1, high_x, out=x1).sub_(torch.maximum(x0, low_x, out=x0)).clamp_(min=0)
    height = torch.minimum(y1, high_y, out=y1).sub_(torch.maximum(y0, low_y, out=y0)).clamp_(min=0)
    overlap.mul_(height)
    # The result is new, so that it does not keep the whole table in memory.
    return overlap.div(other_area.add_(area[:, None]).sub_(overlap))
