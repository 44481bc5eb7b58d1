"""SimOTA, the label assignment of YOLOX, for all images and objects of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.center_window import center_windows, in_window
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

OUTSIDE_WINDOW_COST = 1e6
"""Added to the cost of a candidate that lies outside the object's own window."""


@ASSIGNER_REGISTRY.register()
class SimOTA:
    """Assigns to each object its k cheapest cells, k following from the predictions' IoUs.

    YOLOX (arXiv 2107.08430, section 2.1; OTA: arXiv 2103.14259), as its authors' code computes it.
    For each image:

    1. A cell whose centre lies within ``center_radius`` strides of some object's centre, on both
       axes and strictly, is a *candidate* of the image.
    2. The cost of (object, candidate) is ``class_cost · C_class + iou_cost · C_iou``, plus 1e6
       outside the object's own window. ``C_class`` is the binary cross entropy, summed over the
       classes, of ``sqrt(σ(class) · σ(objectness))`` against the object's class; ``C_iou`` is
       ``−ln(IoU + 1e-8)``.
    3. The object takes its k cheapest candidates, k = max(1, ⌊sum of its ``top_k`` best IoUs over
       all candidates of the image⌋).
    4. A candidate taken by several objects goes to the object of the image for which it is
       cheapest, whether or not that one took it.

    Everything is computed in at least float32, without gradient and without autocast. Equal costs
    are decided for the earlier prediction (step 3) and the earlier object (step 4). An object may
    end without any cell. NaN and infinite predictions do not raise: a NaN box overlaps nothing, a
    NaN score costs more than any finite one.

    How it is made fast with equal results: costs are computed only inside the windows, a few dozen
    cells an object. A candidate lies in the window of at least one object, and the 1e6 keeps all
    objects and cells outside the windows behind it in steps 3 and 4; so only objects with fewer
    than ``top_k`` cells in their window (centre at the border of the image, or outside) need a full
    row of costs. Step 3's IoUs need all candidates and are computed in pieces.

    Args:
        center_radius: half side of the window in strides.
        top_k: number of best IoUs that are summed.
        class_cost: weight of the class cost.
        iou_cost: weight of the IoU cost.
        max_pairs: bound on the (object, candidate) pairs in memory at once, chosen by the device
            when None; it changes memory and speed, never the result.

    Raises:
        ConfigError: ``top_k`` is less than 1, or a cost below 0.
    """

    needs_objectness = True

    @configurable
    def __init__(
        self,
        *,
        center_radius: float = 1.5,
        top_k: int = 10,
        class_cost: float = 1.0,
        iou_cost: float = 3.0,
        max_pairs: int | None = None,
    ) -> None:
        expect(top_k >= 1, "MODEL.ASSIGNER.TOP_K", "at least 1", top_k)
        costs = (class_cost, iou_cost)
        expect(min(costs) >= 0, "MODEL.ASSIGNER: CLASS_COST and IOU_COST", "at least 0", costs)
        self.center_radius = center_radius
        self.top_k = top_k
        self.class_cost = class_cost
        self.iou_cost = iou_cost
        self.max_pairs = max_pairs

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER``."""
        assigner = cfg.MODEL.ASSIGNER
        return {
            "center_radius": assigner.CENTER_RADIUS,
            "top_k": assigner.TOP_K,
            "class_cost": assigner.CLASS_COST,
            "iou_cost": assigner.IOU_COST,
        }

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, pred_boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            predictions: of B images; objectness logits are needed.
            pred_boxes: ``(B, P, 4)`` decoded boxes, xyxy pixels.
            targets: M objects.

        Returns:
            The pairs. The device is waited for twice, not at all when M = 0.

        Raises:
            ValueError: for predictions without objectness.
            DatasetError: for a label that is not in ``[0, K)``.
        """
        if predictions.objectness_logits is None:
            raise ValueError("SimOTA needs predictions with objectness_logits")
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
        boxes = targets.boxes.to(pred_boxes.dtype)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        prediction_index, inside = center_windows(centers, predictions, radius=self.center_radius)
        place = targets.image_index[:, None] * count + prediction_index
        is_short = inside.sum(dim=1) < self.top_k
        # The first of two waits for the device: the sizes of all that follows.
        is_candidate = count_places(place, inside, predictions) > 0
        candidates, (num_short,) = collect_candidates(
            is_candidate, predictions, targets.labels, is_short.sum()
        )
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
        rows = costs.iou_rows(objects, targets, max_pairs=max_pairs)
        num_cells = torch.cat([dynamic_k(iou, top_k=self.top_k) for *_, iou in rows])

        position = candidates.position[place]
        iou = costs.iou(objects[:, None], position)
        cost = costs.cost(objects[:, None], position, iou).masked_fill(~inside, torch.inf)
        taken = take_cheapest(cost, position, num_cells, self.top_k)
        if num_short > 0:
            short = torch.argsort(is_short, descending=True, stable=True)[:num_short]
            taken[short] = self._cheapest_of_image(
                short, centers, num_cells, predictions, targets, costs, max_pairs
            )
        # The cheapest object is looked for in the windows only: every candidate lies in the window
        # of an object, which is cheaper than those in whose windows it does not lie.
        cheapest = CheapestObjects(len(candidates), like=cost)
        cheapest.update(objects, position, cost)
        # The second wait: how many pairs there are.
        return owned_pairs(settle(taken, cheapest), costs, count)

    def _cheapest_of_image(
        self,
        objects: Tensor,
        centers: Tensor,
        num_cells: Tensor,
        predictions: DensePredictions,
        targets: Targets,
        costs: PairCosts,
        max_pairs: int,
    ) -> Tensor:
        """Step 3 for ``objects`` ``(R,)`` over all candidates of their images, ``(R, top_k)``."""
        taken = []
        for rows, image, iou in costs.iou_rows(objects, targets, max_pairs=max_pairs):
            positions, valid = costs.candidates.of_images(image, iou.shape[1])
            index = costs.candidates.place[positions] % predictions.num_predictions
            inside = in_window(centers[rows, None], predictions, index, radius=self.center_radius)
            cost = costs.cost(rows[:, None], positions, iou) + OUTSIDE_WINDOW_COST * ~inside
            cost = cost.masked_fill(~valid, torch.inf)
            taken.append(take_cheapest(cost, positions, num_cells[rows], self.top_k))
        return torch.cat(taken)
