"""SimOTA, the label assignment of YOLOX, for all images and objects of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.candidates import Candidates
from yolov7.modeling.assignment.center_window import center_windows, in_window
from yolov7.modeling.assignment.pair_costs import PairCosts
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import ASSIGNER_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import at_least_float32
from yolov7.utils.errors import DatasetError

OUTSIDE_WINDOW_COST = 1e6
"""Added to the cost of a candidate that lies outside the object's own window."""

PAIRS_IN_CACHE = 2**17
"""(object, candidate) pairs at once on a CPU: more leave the caches and take longer."""

PAIRS_ON_DEVICE = 2**22
"""(object, candidate) pairs at once on other devices, 16 MiB a float32 table."""


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
    """

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
        on_cpu = pred_boxes.device.type == "cpu"
        max_pairs = self.max_pairs or (PAIRS_IN_CACHE if on_cpu else PAIRS_ON_DEVICE)
        images, count = predictions.num_images, predictions.num_predictions
        boxes = targets.boxes.to(pred_boxes.dtype)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        prediction_index, inside = center_windows(centers, predictions, radius=self.center_radius)
        place = targets.image_index[:, None] * count + prediction_index
        # Places outside every window all mark one slot behind the last.
        is_candidate = inside.new_zeros(images * count + 1)
        is_candidate[torch.where(inside, place, images * count)] = True
        is_candidate = is_candidate[:-1].view(images, count)
        is_short = inside.sum(dim=1) < self.top_k

        # The first of two waits for the device: the sizes of all that follows.
        counts = is_candidate.sum(dim=1)
        labels = targets.labels
        total, most, num_short, lowest, highest = torch.stack(
            [counts.sum(), counts.max(), is_short.sum(), labels.min(), labels.max()]
        ).tolist()
        if lowest < 0 or highest >= predictions.num_classes:
            raise DatasetError(
                f"the objects' classes reach from {lowest} to {highest}, but the model has "
                f"{predictions.num_classes} classes, counted from 0. Make MODEL.YOLO.CLASSES "
                "agree with the data set, or correct its annotations"
            )
        if total == 0:
            return Assignment.empty(pred_boxes.device, pred_boxes.dtype)

        candidates = Candidates.pack(is_candidate, counts, total=total, most=most)
        costs = PairCosts.make(
            predictions,
            pred_boxes,
            targets,
            candidates,
            class_weight=self.class_cost,
            iou_weight=self.iou_cost,
            max_elements=max_pairs,
        )
        sums = costs.best_iou_sums(targets, best=self.top_k, max_pairs=max_pairs)
        num_cells = sums.floor().clamp(1, self.top_k).long()

        objects = torch.arange(len(targets), device=place.device)
        position = candidates.position[place]
        cost = costs.cost(objects[:, None], position).masked_fill(~inside, torch.inf)
        taken = _cheapest(cost, position, num_cells, self.top_k)
        if num_short > 0:
            short = torch.argsort(is_short, descending=True, stable=True)[:num_short]
            taken[short] = self._cheapest_of_image(
                short, centers, num_cells, predictions, targets, costs, max_pairs
            )
        owner = _settle(taken, position, cost, total)

        # The second wait: how many pairs there are.
        chosen = torch.nonzero(owner >= 0).squeeze(1)
        place, owner = candidates.place[chosen], owner[chosen]
        return Assignment(
            image_index=place // count,
            prediction_index=place % count,
            target_index=owner,
            matched_iou=costs.iou(owner, chosen),
        )

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
        width = max(costs.candidates.most, self.top_k)
        taken = []
        for rows in objects.split(max(1, max_pairs // width)):
            positions, valid = costs.candidates.of_images(targets.image_index[rows], width)
            index = costs.candidates.place[positions] % predictions.num_predictions
            inside = in_window(centers[rows, None], predictions, index, radius=self.center_radius)
            cost = costs.cost(rows[:, None], positions) + OUTSIDE_WINDOW_COST * ~inside
            cost = cost.masked_fill(~valid, torch.inf)
            taken.append(_cheapest(cost, positions, num_cells[rows], self.top_k))
        return torch.cat(taken)


def _cheapest(cost: Tensor, position: Tensor, num_cells: Tensor, top_k: int) -> Tensor:
    """The ``num_cells`` ``(R,)`` cheapest candidates of every row.

    Args:
        cost: ``(R, S)``, infinite where there is no candidate.
        position: ``(R, S)``, ascending along finite costs, so that ties go to the earlier one.
        num_cells: ``(R,)``, at most ``top_k``.
        top_k: columns of the result.

    Returns:
        ``(R, top_k)`` positions, −1 where a row takes fewer.
    """
    cost, order = cost.sort(dim=1, stable=True)
    cost, order = cost[:, :top_k], order[:, :top_k]
    rank = torch.arange(order.shape[1], device=cost.device)
    is_taken = (rank < num_cells[:, None]) & cost.isfinite()
    taken = torch.where(is_taken, position.gather(1, order), -1)
    return functional.pad(taken, (0, top_k - taken.shape[1]), value=-1)


def _settle(taken: Tensor, position: Tensor, cost: Tensor, total: int) -> Tensor:
    """Give every candidate that was taken to one object (step 4).

    Args:
        taken: ``(M, top_k)`` candidates that the objects take, −1 for none.
        position: ``(M, S)`` candidates in the objects' windows.
        cost: ``(M, S)`` their costs, infinite outside the window.
        total: number of candidates.

    Returns:
        ``(total,)`` the object that owns each candidate, −1 for none.
    """
    none = taken.shape[0]
    objects = torch.arange(none, device=taken.device)[:, None]

    # What is no candidate writes to one slot behind the last.
    slot = torch.where(taken >= 0, taken, total).flatten()
    takers = slot.new_zeros(total + 1).scatter_add_(0, slot, torch.ones_like(slot))
    taker = slot.new_full((total + 1,), -1)
    taker.scatter_reduce_(0, slot, objects.expand_as(taken).flatten(), "amax")

    # The cheapest object is looked for in the windows only: every candidate lies in the window of
    # an object, which is cheaper than those in whose windows it does not lie.
    slot = torch.where(cost.isfinite(), position, total).flatten()
    cost = cost.flatten()
    lowest = cost.new_full((total + 1,), torch.inf).scatter_reduce_(0, slot, cost, "amin")
    contender = torch.where(cost == lowest[slot], objects.expand_as(position).flatten(), none)
    cheapest = slot.new_full((total + 1,), none).scatter_reduce_(0, slot, contender, "amin")
    return torch.where(takers > 1, cheapest, taker)[:total]
