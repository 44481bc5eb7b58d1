"""Greedy suppression in parallel, for any measure of overlap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from yolov7.ops.box_ops import elementwise_diou
from yolov7.ops.nms.greedy import GreedyNMS
from yolov7.ops.nms.groups import independent_groups, padded_buckets

_BLOCK = 64
_MOST_PAIRS = 2**16  # at a time: a few MB, which processors have in their caches

Overlap = Callable[[Tensor, Tensor], Tensor]


def within_classes_at_once(
    boxes: Tensor, classes: Tensor, threshold: float, *, overlap: Overlap | None = None
) -> Tensor:
    """Drop what overlaps a better detection of the same class by more than ``threshold``.

    Cluster-NMS (arXiv:2005.03572): of all pairs at once, each box is dropped that overlaps a box
    not dropped yet, over and over until nothing changes. That ends with what a loop over the boxes
    gives, after as many passes as the longest chain of boxes that overlap the next one. Here
    classes, and groups of boxes that nothing of the same class touches, go side by side, and large
    groups in blocks of 64 boxes, so that memory does not grow with the square of N.

    Args:
        boxes: ``(N, 4)`` xyxy, best first.
        classes: ``(N,)`` int64.
        threshold: at least 0.
        overlap: of boxes ``(M, 4)`` and ``(M, 4)``, never more than their IoU; the IoU itself by
            default.

    Returns:
        rows that stay, ascending.
    """
    stays = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    groups = independent_groups(boxes, classes)
    for members, is_real in padded_buckets(groups, _MOST_PAIRS // _BLOCK):
        kept = _kept(boxes[members], is_real, threshold, overlap)
        stays[members[is_real]] = kept[is_real]
    return stays.nonzero().squeeze(1)


def _kept(boxes: Tensor, alive: Tensor, threshold: float, overlap: Overlap | None) -> Tensor:
    """Which boxes of each group stay.

    Args:
        boxes: ``(G, n, 4)``, best first.
        alive: ``(G, n)`` bool, which boxes there are.
    """
    kept = alive.clone()
    at_once = max(_MOST_PAIRS // (_BLOCK * len(boxes)), 1)
    for start in range(0, boxes.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        own = boxes[:, block]
        for better in kept[:, :start].any(dim=0).nonzero().squeeze(1).split(at_once):
            hits = _hits(boxes[:, better], own, threshold, overlap)
            kept[:, block] &= ~(hits & kept[:, better, None]).any(dim=1)
        hits = _hits(own, own, threshold, overlap).triu(diagonal=1)
        kept[:, block] = _left_over(hits, kept[:, block])
    return kept


def _hits(better: Tensor, worse: Tensor, threshold: float, overlap: Overlap | None) -> Tensor:
    """``(G, n, m)`` bool: the pairs of ``(G, n, 4)`` and ``(G, m, 4)`` that overlap by more.

    By contiguous coordinates, a third of the time of `pairwise_iou`. The IoU of boxes without area
    is 0 / 0, which is not more than anything.
    """
    x0, y0, x1, y1 = (column[:, :, None].contiguous() for column in better.unbind(dim=-1))
    u0, v0, u1, v1 = (column[:, None].contiguous() for column in worse.unbind(dim=-1))
    width = torch.minimum(x1, u1).sub_(torch.maximum(x0, u0)).clamp_(min=0)
    height = torch.minimum(y1, v1).sub_(torch.maximum(y0, v0)).clamp_(min=0)
    shared = width.mul_(height)
    areas = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)
    union = (areas + (u1 - u0).clamp(min=0) * (v1 - v0).clamp(min=0)).sub_(shared)
    hits = shared.div_(union) > threshold
    if overlap is not None:
        group, row, column = hits.nonzero(as_tuple=True)
        hits[group, row, column] = overlap(better[group, row], worse[group, column]) > threshold
    return hits


def _left_over(hits: Tensor, alive: Tensor) -> Tensor:
    """Which of n boxes are hit by none that stays.

    Args:
        hits: ``(G, n, n)`` bool, whether a box (row) hits a worse one (column).
        alive: ``(G, n)`` bool, the boxes that there are.
    """
    kept = alive
    while True:
        now = alive & ~(hits & kept[:, :, None]).any(dim=1)
        if torch.equal(now, kept):
            return now
        kept = now


cluster_nms = GreedyNMS(within_classes_at_once)
diou_nms = GreedyNMS(partial(within_classes_at_once, overlap=elementwise_diou))
