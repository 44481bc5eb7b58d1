"""Counts over the global batch, for losses that do not depend on how it is split over ranks."""

from __future__ import annotations

from torch import Tensor, distributed

from yolov7.d2 import get_world_size


def rank_normalizer(count: int | Tensor, *, like: Tensor) -> Tensor:
    """What a rank divides its sum of losses by, so that gradients are those of the whole batch.

    With ``N = max(Σ over ranks of count, 1)`` and W ranks this is ``N / W``:
    DistributedDataParallel *averages* gradients over ranks, and the average of ``sum_r · W / N`` is
    the sum over all ranks divided by N. The average over ranks of the logged losses is the loss of
    the whole batch for the same reason. All ranks must call it together.

    Args:
        count: of this rank, e.g. its predictions that answer for an object; a tensor holds
            several counts, each of which is normalised on its own.
        like: decides dtype and device.

    Returns:
        a tensor of the counts' shape, a scalar for one; all at least 1 / W.
    """
    return global_count(count, like=like).clamp(min=1) / get_world_size()


def global_count(count: int | Tensor, *, like: Tensor) -> Tensor:
    """The sum over ranks of a count, or of several on their own; all ranks must call it together.

    Args:
        count: of this rank.
        like: decides dtype and device.
    """
    total = like.new_zeros(()) + count
    if get_world_size() > 1:
        distributed.all_reduce(total)
    return total
