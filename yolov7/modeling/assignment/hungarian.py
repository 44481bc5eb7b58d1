"""Bipartite matching: every object gets one query of its own, at the least cost in all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.class_costs import ClassCost, FocalCost, softmax_cost
from yolov7.modeling.normalized_boxes import normalized_boxes
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import cxcywh_to_xyxy, elementwise_giou
from yolov7.utils.errors import DatasetError
from yolov7.utils.names import look_up

BROKEN_COST = -1e9
"""Cost of pairs whose cost is not a finite number."""


@ASSIGNER_REGISTRY.register()
class HungarianMatcher:
    """The matching of DETR (arXiv:2005.12872, section 3.1), of all layers and images at once.

    The cost of a pair is ``class_weight · class cost + l1_weight · L1 − giou_weight · GIoU`` with
    L1 the sum over the four numbers of the normalised boxes. All costs of a batch are computed
    together on the predictions' device and travel to the CPU in one piece; only SciPy's assignment
    itself runs image by image and layer by layer. Of equal solutions SciPy chooses.

    Costs are computed in at least float32. Pairs whose cost is not finite, as a diverged model has
    them, are the cheapest of all: a broken query is matched first, its loss is not finite either,
    and so the training's policy for such losses decides (`SOLVER.ON_NONFINITE_LOSS`), on all ranks
    alike.

    Args:
        class_cost: see `yolov7.modeling.assignment.class_costs`.
        class_weight: of the class cost.
        l1_weight: of the boxes' L1 distance.
        giou_weight: of the generalised IoU.
        max_pairs: bound on the (object, query) pairs whose boxes are compared at once; the result
            does not depend on it.
    """

    of_queries = True

    @configurable
    def __init__(
        self,
        *,
        class_cost: ClassCost = softmax_cost,
        class_weight: float = 1.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        max_pairs: int = 2**22,
    ) -> None:
        self.class_cost = class_cost
        self.class_weight = class_weight
        self.l1_weight = l1_weight
        self.giou_weight = giou_weight
        self.max_pairs = max_pairs

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the costs of ``MODEL.ASSIGNER``; the class cost is that of the class loss.

        Raises:
            ConfigError: ``MODEL.CRITERION.CLASS_LOSS`` is none for queries.
        """
        assigner, criterion = cfg.MODEL.ASSIGNER, cfg.MODEL.CRITERION
        class_costs: dict[str, ClassCost] = {
            "softmax": softmax_cost,
            "focal": FocalCost(alpha=criterion.FOCAL_ALPHA, gamma=criterion.FOCAL_GAMMA),
        }
        return {
            "class_cost": look_up(class_costs, criterion.CLASS_LOSS, "MODEL.CRITERION.CLASS_LOSS"),
            "class_weight": assigner.CLASS_COST,
            "l1_weight": assigner.L1_COST,
            "giou_weight": assigner.IOU_COST,
        }

    @torch.no_grad()
    def __call__(self, predictions: QueryPredictions, targets: Targets) -> Tensor:
        """Find the query of each object.

        Args:
            predictions: of L layers, B images and Q queries. Half precision is raised.
            targets: M objects of the same images.

        Returns:
            ``(L, M)`` int64 in [0, Q): for each layer the query that answers for each object; no
            query of an image answers for two.

        Raises:
            DatasetError: an image has more objects than there are queries.
        """
        device = predictions.class_logits.device
        if len(targets) == 0:
            return torch.zeros((predictions.num_layers, 0), dtype=torch.int64, device=device)
        costs = self.costs(predictions.at_least_float32(), targets).cpu().numpy()
        # The device has nothing left to do by now, so that this costs no further wait.
        counts = targets.image_index.bincount(minlength=targets.num_images).tolist()
        _check_counts(counts, predictions.num_queries)
        return torch.from_numpy(_assign(costs, counts)).to(device, non_blocking=True)

    def costs(self, predictions: QueryPredictions, targets: Targets) -> Tensor:
        """Costs ``(M, L, Q)`` of each object with all queries of its image, finite.

        Args:
            predictions: float32 or float64.
            targets: M objects.
        """
        logits = predictions.class_logits
        costs = self.class_weight * self.class_cost(logits, targets.image_index, targets.labels)
        pred_boxes = _coordinates_first(predictions.boxes_norm)
        pred_corners = _coordinates_first(cxcywh_to_xyxy(predictions.boxes_norm))
        boxes = normalized_boxes(targets, logits.dtype)[:, None, None]
        corners = cxcywh_to_xyxy(boxes)
        at_once = max(1, self.max_pairs // max(costs[0].numel(), 1))
        for start in range(0, len(targets), at_once):
            part = slice(start, start + at_once)
            image = targets.image_index[part]
            distance = (pred_boxes[:, image].movedim(0, -1) - boxes[part]).abs().sum(dim=-1)
            overlap = elementwise_giou(
                pred_corners[:, image].movedim(0, -1), corners[part], eps=0.0
            )
            costs[part] += self.l1_weight * distance - self.giou_weight * overlap
        return costs.nan_to_num_(BROKEN_COST, BROKEN_COST, BROKEN_COST)


def _coordinates_first(boxes: Tensor) -> Tensor:
    """``(4, B, L, Q)`` of ``(L, B, Q, 4)``: each coordinate lies together, which is faster."""
    return boxes.permute(3, 1, 0, 2).contiguous()


def _check_counts(counts: list[int], num_queries: int) -> None:
    most = max(counts)
    if most > num_queries:
        raise DatasetError(
            f"image {counts.index(most)} of the batch has {most} objects, but the model has only "
            f"{num_queries} queries, each of which answers for one object. Raise the number of "
            "queries (MODEL.DETR.NUM_OBJECT_QUERIES; Anchor DETR: "
            "MODEL.ANCHOR_DETR.NUM_POINTS), or leave the image out"
        )


def _assign(costs: np.ndarray, counts: list[int]) -> np.ndarray:
    """Queries ``(L, M)`` of objects whose costs ``(M, L, Q)`` lie image after image."""
    num_objects, num_layers, _ = costs.shape
    queries = np.empty((num_layers, num_objects), dtype=np.int64)
    stop = 0
    for count in counts:
        start, stop = stop, stop + count
        for layer in range(num_layers):
            queries[layer, start:stop] = linear_sum_assignment(costs[start:stop, layer])[1]
    return queries
