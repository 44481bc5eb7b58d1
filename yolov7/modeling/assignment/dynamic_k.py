"""Dynamic-k matching: what SimOTA and OTA do once they know which cells are candidates.

Every object takes its k cheapest candidates, k following from the predictions' IoUs; a candidate
that several objects take goes to the object for which it is cheapest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.candidates import Candidates
from yolov7.modeling.assignment.pair_costs import PairCosts
from yolov7.modeling.predictions import DensePredictions
from yolov7.utils.errors import DatasetError

PAIRS_IN_CACHE = 2**17
"""(object, candidate) pairs at once on a CPU: more leave the caches and take longer."""

PAIRS_ON_DEVICE = 2**22
"""(object, candidate) pairs at once on other devices, 16 MiB a float32 table."""


def default_max_pairs(device: torch.device) -> int:
    """How many (object, candidate) pairs a device likes to have in memory at once."""
    return PAIRS_IN_CACHE if device.type == "cpu" else PAIRS_ON_DEVICE


def check_labels(lowest: int, highest: int, num_classes: int) -> None:
    """Refuse objects of classes that the model does not have.

    Raises:
        DatasetError: a label is not in ``[0, num_classes)``.
    """
    if lowest < 0 or highest >= num_classes:
        raise DatasetError(
            f"the objects' classes reach from {lowest} to {highest}, but the model has "
            f"{num_classes} classes, counted from 0. Make MODEL.YOLO.CLASSES "
            "agree with the data set, or correct its annotations"
        )


def count_places(place: Tensor, found: Tensor, predictions: DensePredictions) -> Tensor:
    """How often each place was found.

    Args:
        place: ``(M, S)`` int64 places ``image · P + prediction``, some cells a row per object.
        found: ``(M, S)`` bool: which of them count.
        predictions: of B images.

    Returns:
        ``(B, P)`` int64.
    """
    last = predictions.num_images * predictions.num_predictions
    # Places that do not count all go to one slot behind the last.
    slot = torch.where(found, place, last).flatten()
    counts = slot.new_zeros(last + 1).scatter_add_(0, slot, torch.ones_like(slot))
    return counts[:-1].view(predictions.num_images, predictions.num_predictions)


def collect_candidates(
    copies: Tensor, predictions: DensePredictions, labels: Tensor, *extra: Tensor
) -> tuple[Candidates, list[int]]:
    """Pack candidates; waits for the device once.

    Args:
        copies: ``(B, P)`` bool or int64, how often each place is a candidate.
        predictions: of B images.
        labels: ``(M,)`` of the objects, M > 0.
        extra: int64 scalars whose values are wanted as well.

    Returns:
        The candidates, and the numbers in ``extra``.

    Raises:
        DatasetError: for a label that is not in ``[0, K)``.
    """
    counts = copies.sum(dim=1)
    total, most, lowest, highest, *numbers = torch.stack(
        [counts.sum(), counts.max(), labels.min(), labels.max(), *extra]
    ).tolist()
    check_labels(lowest, highest, predictions.num_classes)
    return Candidates.pack(copies, counts, total=total, most=most), numbers


def take_cheapest(cost: Tensor, position: Tensor, num_cells: Tensor, top_k: int) -> Tensor:
    """The ``num_cells`` ``(R,)`` cheapest candidates of every row.

    Args:
        cost: ``(R, S)``, infinite where there is no candidate.
        position: ``(R, S)`` candidates; of equal costs the earlier in the row is taken.
        num_cells: ``(R,)`` in ``[1, top_k]``.
        top_k: columns of the result.

    Returns:
        ``(R, top_k)`` positions, −1 where a row takes fewer.
    """
    # Sorting whole rows would take several times as long.
    most = min(top_k, cost.shape[1])
    lowest = cost.topk(most, dim=1, largest=False).values
    limit = lowest.gather(1, num_cells.clamp(max=most)[:, None] - 1)
    cheaper, equal = cost < limit, cost == limit
    room = num_cells[:, None] - cheaper.sum(dim=1, keepdim=True)
    taken = (cheaper | (equal & (equal.cumsum(dim=1) <= room))) & cost.isfinite()
    # What is not taken writes to one slot behind the last.
    slot = torch.where(taken, taken.cumsum(dim=1) - 1, top_k)
    result = position.new_full((len(cost), top_k + 1), -1).scatter_(1, slot, position)
    return result[:, :top_k]


class CheapestObjects:
    """For which object is each candidate cheapest? Fed with costs piece by piece.

    Args:
        num_candidates: T.
        like: decides dtype and device of the costs.
    """

    def __init__(self, num_candidates: int, *, like: Tensor) -> None:
        # What is no candidate writes to one slot behind the last.
        self._lowest = like.new_full((num_candidates + 1,), torch.inf)
        self._object = torch.full_like(self._lowest, -1, dtype=torch.int64)

    @property
    def object_index(self) -> Tensor:
        """``(T + 1,)`` int64; of equal costs the earlier object, −1 before any finite cost."""
        return self._object

    def update(self, objects: Tensor, position: Tensor, cost: Tensor) -> None:
        """Add objects, all later than those before.

        Args:
            objects: ``(R,)`` int64.
            position: ``(R, S)`` candidates.
            cost: ``(R, S)`` of each object with each candidate, infinite for none.
        """
        none = torch.iinfo(objects.dtype).max
        last = self._lowest.shape[0] - 1
        slot = torch.where(cost.isfinite(), position, last).flatten()
        owner = objects[:, None].expand_as(position).flatten()
        cost = cost.flatten()
        lowest = self._lowest.scatter_reduce(0, slot, cost, "amin")
        contender = torch.where(cost == lowest[slot], owner, none)
        found = torch.full_like(self._object, none).scatter_reduce_(0, slot, contender, "amin")
        self._object = torch.where(lowest < self._lowest, found, self._object)
        self._lowest = lowest


def settle(taken: Tensor, cheapest: CheapestObjects) -> Tensor:
    """Give every candidate that was taken to one object.

    Args:
        taken: ``(M, top_k)`` candidates that the objects take, −1 for none.
        cheapest: of all pairs that matter.

    Returns:
        ``(T,)`` the object that owns each candidate, −1 for none.
    """
    last = cheapest.object_index.shape[0] - 1
    objects = torch.arange(taken.shape[0], device=taken.device)[:, None].expand_as(taken)
    slot = torch.where(taken >= 0, taken, last).flatten()
    takers = slot.new_zeros(last + 1).scatter_add_(0, slot, torch.ones_like(slot))
    taker = slot.new_full((last + 1,), -1).scatter_reduce_(0, slot, objects.flatten(), "amax")
    return torch.where(takers > 1, cheapest.object_index, taker)[:last]


def owned_pairs(owner: Tensor, costs: PairCosts, num_predictions: int) -> Assignment:
    """The candidates that have an owner; waits for the device once.

    Args:
        owner: ``(T,)`` the object of each candidate, −1 for none.
        costs: of the T candidates.
        num_predictions: P.
    """
    chosen = torch.nonzero(owner >= 0).squeeze(1)
    place, owner = costs.candidates.place[chosen], owner[chosen]
    return Assignment(
        image_index=place // num_predictions,
        prediction_index=place % num_predictions,
        target_index=owner,
        matched_iou=costs.iou(owner, chosen),
    )
