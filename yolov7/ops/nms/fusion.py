"""Weighted boxes fusion: boxes of the same object become their mean (arXiv:1910.13302)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from yolov7.ops.nms.columns import Columns, iou
from yolov7.ops.nms.groups import independent_groups, padded_buckets
from yolov7.ops.nms.kept import Kept, Sources

_MOST_PLACES = 2**20
_LEAST_WEIGHT = 1e-200  # of a box with score 0, so that means of such boxes are defined

ClusterScore = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Total and best score and number of boxes, ``(M,)`` each, to the scores ``(M,)`` of M clusters."""


def weighted_boxes_fusion(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    threshold: float,
    *,
    sources: Sources | None = None,
    most: int | None = None,
    lowest: float = 0.0,
) -> Kept:
    """Fuse the detections of several models, as the paper does; an `NMS`.

    From the best candidate to the worst, each joins the cluster whose fused box it overlaps most,
    if by more than ``threshold``, or begins a cluster. A fused box is the mean of its members,
    weighted by their scores; its score is the mean of theirs · min(members, S) / S, so that what
    few of the S sources have seen loses. With weights, scores count times the source's weight, and
    S in the denominator is the weights' sum. It runs on the processor, wherever the boxes are.
    """
    sources = Sources.of_parts([boxes]) if sources is None else sources
    weights = scores.new_tensor(sources.weights, dtype=torch.float64)
    num_sources, total_weight = len(weights), float(weights.sum())

    def agreement(total: np.ndarray, best: np.ndarray, members: np.ndarray) -> np.ndarray:
        return total / members * np.minimum(members, num_sources) / total_weight

    counted = scores.double() * weights[sources.index]
    fused = _fuse(boxes, counted, classes, threshold, agreement, dtype=scores.dtype)
    return fused.best(most, lowest)


def fuse_candidates(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    threshold: float,
    *,
    sources: Sources | None = None,
    most: int | None = None,
    lowest: float = 0.0,
) -> Kept:
    """Fuse the raw candidates of a detector, of one view or of several; an `NMS`.

    Candidates of one view become fused boxes with the *best* score of their cluster: a mean would
    sink with every weak duplicate, of which a dense detector has many. What several views have
    found is then fused by `weighted_boxes_fusion`.
    """
    if sources is None:
        fused = _fuse(boxes, scores.double(), classes, threshold, _best, dtype=scores.dtype)
        return fused.best(most, lowest)
    parts = []
    for source in range(len(sources.weights)):
        rows = (sources.index == source).nonzero().squeeze(1)
        fused = fuse_candidates(boxes[rows], scores[rows], classes[rows], threshold)
        parts.append(Kept(rows[fused.index], fused.boxes, fused.scores))
    index, boxes, scores = (torch.cat(column) for column in zip(*parts, strict=True))
    joined = weighted_boxes_fusion(
        boxes, scores, classes[index], threshold, sources=sources[index], most=most, lowest=lowest
    )
    return Kept(index[joined.index], joined.boxes, joined.scores)


def _best(total: np.ndarray, best: np.ndarray, members: np.ndarray) -> np.ndarray:
    return best


def _fuse(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    threshold: float,
    cluster_score: ClusterScore,
    *,
    dtype: torch.dtype,
) -> Kept:
    """All clusters, in the order of their best members in the input; scores in ``dtype``."""
    order = scores.argsort(descending=True, stable=True)
    groups = independent_groups(boxes[order], classes[order])
    sorted_boxes = boxes[order].detach().cpu().double().numpy()
    sorted_scores = scores[order].detach().cpu().numpy()
    found = [(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))]
    for members, is_real in padded_buckets(groups, _MOST_PLACES):
        members = members.cpu().numpy()
        sizes = is_real.sum(dim=1).cpu().numpy()
        clusters = _Clusters(*members.shape)
        for place in range(members.shape[1]):
            # Larger groups come first.
            rows = members[: np.count_nonzero(sizes > place), place]
            clusters.add(sorted_boxes[rows], sorted_scores[rows], rows, threshold)
        found.append(clusters.fused(cluster_score))
    first, fused, fused_scores = (np.concatenate(column) for column in zip(*found, strict=True))
    index, by_row = order[torch.from_numpy(first).to(order.device)].sort()
    fused = torch.from_numpy(fused).to(boxes)[by_row]
    return Kept(index, fused, torch.from_numpy(fused_scores).to(scores.device, dtype)[by_row])


class _Clusters:
    """The clusters of G groups, of at most n each, while boxes are added."""

    def __init__(self, groups: int, places: int) -> None:
        shape = (groups, places)
        self._count = np.zeros(groups, np.int64)
        self._sums = np.zeros((*shape, 4))
        self._weight = np.zeros(shape)
        self._boxes = Columns.of(np.zeros((*shape, 4)))
        self._total = np.zeros(shape)
        self._best = np.zeros(shape)
        self._members = np.zeros(shape, np.int64)
        self._first = np.zeros(shape, np.int64)

    def add(
        self, boxes: np.ndarray, scores: np.ndarray, names: np.ndarray, threshold: float
    ) -> None:
        """Add one box to each of the first g groups, none better than any before it.

        Args:
            boxes: ``(g, 4)``.
            scores: ``(g,)``.
            names: ``(g,)`` int64, of which a cluster's first is remembered.
            threshold: at least 0.
        """
        groups = len(boxes)
        rows = np.arange(groups)
        used = max(int(self._count[:groups].max()), 1)
        new = Columns.of(boxes)
        overlap = iou(self._boxes[:groups, :used], new[:, None])
        slot = overlap.argmax(axis=1)
        begins = ~(overlap[rows, slot] > threshold)
        slot[begins] = self._count[:groups][begins]
        self._count[:groups] += begins
        at = (rows, slot)
        self._first[rows[begins], slot[begins]] = names[begins]
        self._best[rows[begins], slot[begins]] = scores[begins]
        self._total[at] += scores
        self._members[at] += 1
        weight = np.maximum(scores, _LEAST_WEIGHT)
        self._weight[at] += weight
        self._sums[at] += weight[:, None] * boxes
        self._boxes.put(at, self._sums[at] / self._weight[at][:, None])

    def fused(self, cluster_score: ClusterScore) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Name of the first box, fused box and score of every cluster."""
        filled = self._members > 0
        boxes = self._sums[filled] / self._weight[filled][:, None]
        scores = cluster_score(self._total[filled], self._best[filled], self._members[filled])
        return self._first[filled], boxes, scores
