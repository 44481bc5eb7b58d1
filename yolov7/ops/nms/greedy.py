"""Greedy suppression: whatever overlaps a better detection goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from yolov7.ops.nms.kept import Kept, Sources

FIRST_ROUND = 1024
"""Candidates that the first round of suppression looks at."""


@dataclass(frozen=True)
class GreedyNMS:
    """An `NMS` that drops candidates and changes none of them.

    Where only the best ``most`` are wanted, it looks at the best 1,024 candidates first and at more
    only when they leave fewer. That changes nothing, since what becomes of a candidate depends on
    better ones only.

    Args:
        rule: called with boxes ``(N, 4)``, best first, their classes ``(N,)`` and the threshold;
            gives the rows that stay, ascending.
    """

    rule: Callable[[Tensor, Tensor, float], Tensor]

    def __call__(
        self,
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        threshold: float,
        *,
        sources: Sources | None = None,
        most: int | None = None,
        lowest: float = 0.0,
    ) -> Kept:
        """See `yolov7.ops.nms.kept.NMS`; equal scores keep their order."""
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] >= lowest]
        looked_at = len(order) if most is None else FIRST_ROUND
        while True:
            part = order[:looked_at]
            kept = part[self.rule(boxes[part].double(), classes[part], threshold)]
            if looked_at >= len(order) or len(kept) >= most:
                kept = kept[:most]
                return Kept(kept, boxes[kept], scores[kept])
            looked_at *= 4


def within_classes(boxes: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Drop what overlaps a better detection of the *same class* by more than ``threshold``.

    Many boxes are compared class by class. Few are compared at once, and so are all on a GPU; then
    classes are kept apart by moving each to a place of its own, in float64 and by the whole extent
    of the boxes. (torchvision's ``batched_nms`` does it in the boxes' dtype and by their largest
    coordinate: there one box that reaches far, as untrained networks make them, moves the others
    out of float32's precision, and boxes with negative coordinates meet those of other classes.)
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    if len(boxes) <= FIRST_ROUND or boxes.is_cuda:
        extent = boxes.max() - boxes.min() + 1
        return of_any_class(boxes + (classes * extent)[:, None], classes, threshold)
    by_class = classes.argsort(stable=True)
    sizes = torch.bincount(classes)
    sizes = sizes[sizes > 0].tolist()
    parts = zip(boxes[by_class].split(sizes), by_class.split(sizes), strict=True)
    kept = [rows[of_any_class(part, classes, threshold)] for part, rows in parts]
    return torch.cat(kept).sort().values


def of_any_class(boxes: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Drop what overlaps a better detection of *any class* by more than ``threshold``."""
    ranks = torch.arange(len(boxes), 0, -1, dtype=torch.float64, device=boxes.device)
    return torchvision_nms(boxes, ranks, threshold)


class_aware_nms = GreedyNMS(within_classes)
agnostic_nms = GreedyNMS(of_any_class)
