"""Candidates in groups that do not affect each other, padded to work on many groups at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import torch
from torch import Tensor


def independent_groups(boxes: Tensor, classes: Tensor) -> Tensor:
    """Part candidates so that boxes of two groups never overlap or are of two classes.

    Not even means of a group's boxes overlap the boxes of another: groups are parted by a line
    across, or by their classes. That is what weighted boxes fusion needs.

    Args:
        boxes: ``(N, 4)`` xyxy.
        classes: ``(N,)`` int64.

    Returns:
        ``(N,)`` int64, the group of each box, counting from 0 without gaps.
    """
    groups = classes.unique(return_inverse=True)[1]
    for axis in (0, 1):
        groups = _parted(groups, boxes[:, axis], boxes[:, axis + 2])
    return groups


def _parted(groups: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Part each group where no interval [low, high] of its members reaches across."""
    if len(groups) == 0:
        return groups
    # Ranks in place of coordinates: integers can be moved apart by group without rounding.
    ranks = torch.cat([low, high]).unique(return_inverse=True)[1]
    ends = ranks + (groups * (ranks.max() + 1)).repeat(2)
    low, high = ends.chunk(2)
    order = low.argsort()
    reached = high[order].cummax(dim=0).values
    begins = torch.ones_like(order, dtype=torch.bool)
    begins[1:] = low[order][1:] >= reached[:-1]
    # A group's lowest end lies above all of the group before it.
    begins[1:] |= groups[order][1:] != groups[order][:-1]
    parted = torch.empty_like(groups)
    parted[order] = begins.cumsum(0) - 1
    return parted


def padded_buckets(groups: Tensor, most_places: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Gather groups of about the same size, so that little more than half is padding.

    Args:
        groups: ``(N,)`` int64 from 0 without gaps.
        most_places: places of a bucket, unless a single group has more.

    Yields:
        members ``(G, n)`` int64: the rows of G groups, each in the order in which they come; and
        ``(G, n)`` bool: which places are no padding. Larger groups come first, in a bucket too.
    """
    by_group = groups.argsort(stable=True)
    sizes = torch.bincount(groups)
    first = sizes.cumsum(0) - sizes
    by_size = sizes.argsort(descending=True, stable=True)
    start, ordered = 0, sizes[by_size].tolist()
    while start < len(ordered):
        longest = ordered[start]
        room = max(most_places // longest, 1)
        alike = bisect_left(ordered, True, lo=start, key=lambda size: 2 * size < longest)
        stop = min(alike, start + room)
        chosen = by_size[start:stop]
        places = torch.arange(longest, device=groups.device)
        is_real = places < sizes[chosen, None]
        members = by_group[(first[chosen, None] + places).clamp(max=len(groups) - 1)]
        yield members, is_real
        start = stop
