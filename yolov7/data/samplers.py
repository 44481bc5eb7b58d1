"""Which sample comes at which place of training: pure functions of the seed and the iteration."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Sampler

# Every use of the seed draws from a stream of its own.
_ORDER_STREAM, _SAMPLE_STREAM, _SIZE_STREAM = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SampleKey:
    """What a training sample depends on, besides the seed and the data set.

    Attributes:
        iteration: the iteration that consumes the sample, from 0.
        epoch: how often the whole order has passed before.
        position: the sample's place within the epoch, in [0, length of an epoch).
        index: the record to use, in [0, number of records).
        size: (height, width) to make the sample in, or None for the configured size.
    """

    iteration: int
    epoch: int
    position: int
    index: int
    size: tuple[int, int] | None = None


def sample_rng(seed: int, key: SampleKey, attempt: int = 0) -> np.random.Generator:
    """Return the generator that all random draws of one sample come from.

    It depends on the epoch and position but not on the index, since repeat-factor sampling emits
    a record several times in an epoch, each time with other draws.

    Args:
        seed: the run's seed, not negative.
        key: the sample's key.
        attempt: 0 for the sample itself; 1, 2 ... for replacements of a bad image.
    """
    return np.random.default_rng([_SAMPLE_STREAM, seed, key.epoch, key.position, attempt])


class EpochOrder(ABC):
    """An order of records for every epoch; all epochs are equally long.

    Attributes:
        length: number of samples in an epoch.
    """

    length: int

    @abstractmethod
    def __call__(self, epoch: int) -> np.ndarray:
        """Return the records of an epoch in order, (length,) int64."""


class ShuffledOrder(EpochOrder):
    """Every record once an epoch, in an order drawn from (seed, epoch).

    Args:
        size: number of records, at least 1.
        seed: the run's seed, not negative.
    """

    def __init__(self, size: int, *, seed: int) -> None:
        self.length = size
        self._seed = seed

    def __call__(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([_ORDER_STREAM, self._seed, epoch]).permutation(self.length)


class RepeatFactorOrder(EpochOrder):
    """Records repeated by a factor each, in an order drawn from (seed, epoch).

    An epoch has ceil(sum of factors) samples. The fractional part of a factor is settled anew in
    each epoch by systematic sampling (one uniform offset for all records in random order), so that
    a record comes floor or ceil of its factor times, and its factor times on average; the factors
    are stretched by the rounding of the length only.

    Args:
        factors: (N,) repeat factors, each at least 1; see `repeat_factors`.
        seed: the run's seed, not negative.
    """

    def __init__(self, factors: Sequence[float], *, seed: int) -> None:
        factors = np.asarray(factors, dtype=np.float64)
        # The margin keeps a sum of whole factors, with its rounding error, from one more sample.
        self.length = math.ceil(factors.sum() - 1e-6)
        self._factors = factors * (self.length / factors.sum())
        self._seed = seed

    def __call__(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([_ORDER_STREAM, self._seed, epoch])
        order = rng.permutation(len(self._factors))
        ends = np.cumsum(self._factors[order])
        picks = np.searchsorted(ends, np.arange(self.length) + rng.random(), side="right")
        # Rounding in the cumulative sum may leave the last pick past the end.
        return rng.permutation(order[np.minimum(picks, len(order) - 1)])


def repeat_factors(
    records: Sequence[dict[str, Any]], *, threshold: float, square_root: bool = True
) -> np.ndarray:
    """Compute how often images with rare classes are repeated (LVIS, Gupta et al. 2019, 3.3).

    A class c that occurs in a fraction f(c) of the images has r(c) = max(1, sqrt(t / f(c))); an
    image has the largest r of its classes, and 1 without objects. Crowds do not count.

    Args:
        records: all training records.
        threshold: t, the fraction of images below which a class is repeated.
        square_root: False for max(1, t / f(c)).

    Returns:
        (N,) float64 factors, at least 1.
    """
    classes = [
        {a["category_id"] for a in record["annotations"] if not a.get("iscrowd", 0)}
        for record in records
    ]
    images_with = Counter(c for found in classes for c in found)
    ratio = {c: threshold * len(records) / count for c, count in images_with.items()}
    factor = {c: max(1.0, math.sqrt(r) if square_root else r) for c, r in ratio.items()}
    return np.array([max((factor[c] for c in found), default=1.0) for found in classes])


class MultiScaleSchedule:
    """Training sizes that change every few iterations: a pure function of (seed, iteration).

    Heights are min_size, min_size + step ... max_size, all equally likely; the width keeps the
    ratio of `input_size` and is rounded down to the step.

    Args:
        input_size: (height, width), whose ratio is kept.
        min_size: smallest height.
        max_size: largest height, included when it lies on the grid.
        step: distance between heights, the stride that sizes must be divisible by.
        period: iterations between changes.
        seed: the run's seed, not negative.
    """

    def __init__(
        self,
        *,
        input_size: tuple[int, int],
        min_size: int,
        max_size: int,
        step: int,
        period: int,
        seed: int,
    ) -> None:
        height, width = input_size
        self.sizes = [
            (h, max(step, h * width // height // step * step))
            for h in range(min_size, max_size + 1, step)
        ]
        self._period = period
        self._seed = seed

    def __call__(self, iteration: int) -> tuple[int, int]:
        """Return the (height, width) of an iteration."""
        rng = np.random.default_rng([_SIZE_STREAM, self._seed, iteration // self._period])
        return self.sizes[rng.integers(len(self.sizes))]


class TrainingBatchSampler(Sampler[list[SampleKey]]):
    """The keys of this process's share of every batch, from one iteration to another.

    The stream of samples is endless: place = iteration * global_batch_size + slot, epoch =
    place // length of an epoch, position = place % length. Batches may span epochs. Process r of
    W takes the slots r, r + W, r + 2 W ... of every batch. Nothing is remembered between batches
    (except the current epoch's order, which could be drawn again), so resuming needs only the
    iteration.

    Args:
        order: the order of each epoch; its seed must be the same in all processes.
        global_batch_size: samples an iteration over all processes, a multiple of `world_size`.
        rank: this process, in [0, world_size).
        world_size: number of processes.
        start_iter: the first iteration.
        max_iter: one past the last iteration.
        size_schedule: gives the size of an iteration; None keeps the configured size.
    """

    def __init__(
        self,
        order: EpochOrder,
        global_batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        start_iter: int = 0,
        max_iter: int,
        size_schedule: MultiScaleSchedule | None = None,
    ) -> None:
        if order.length < 1:
            raise ValueError("the data set is empty")
        if global_batch_size % world_size:
            raise ValueError(f"batch {global_batch_size} is not divisible by {world_size}")
        self._order = order
        self._batch = global_batch_size
        self._rank = rank
        self._world_size = world_size
        self._iterations = range(start_iter, max_iter)
        self._size_schedule = size_schedule

    def __len__(self) -> int:
        return len(self._iterations)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        current_epoch, indices = -1, np.empty(0, dtype=np.int64)
        for iteration in self._iterations:
            size = None if self._size_schedule is None else self._size_schedule(iteration)
            keys = []
            for slot in range(self._rank, self._batch, self._world_size):
                epoch, position = divmod(iteration * self._batch + slot, self._order.length)
                if epoch != current_epoch:
                    current_epoch, indices = epoch, self._order(epoch)
                keys.append(SampleKey(iteration, epoch, position, int(indices[position]), size))
            yield keys


class InferenceSampler(Sampler[int]):
    """This process's contiguous shard of a data set; every record in exactly one shard.

    The first `size % world_size` shards are longer by one.

    Args:
        size: number of records; may be smaller than `world_size`, some shards are then empty.
        rank: this process, in [0, world_size).
        world_size: number of processes.
    """

    def __init__(self, size: int, *, rank: int = 0, world_size: int = 1) -> None:
        share, longer = divmod(size, world_size)
        begin = rank * share + min(rank, longer)
        self._indices = range(begin, begin + share + (rank < longer))

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)
