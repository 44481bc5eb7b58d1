"""How fast batches come out of a loader."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any


def seconds_per_batch(loader: Iterable[Any], *, batches: int, warm_up: int) -> float:
    """Take batches from a fresh pass over a loader and give the mean time of one.

    Args:
        loader: every pass starts its workers anew, and ends them.
        batches: that are timed.
        warm_up: that come before them and do not count, while workers start; what they have made
            in advance must be among them. `warm_up_batches` says how many.

    Raises:
        ValueError: the loader ends before.
    """
    iterator = iter(loader)
    for _ in itertools.islice(iterator, warm_up):
        pass
    start = time.perf_counter()
    taken = sum(1 for _ in itertools.islice(iterator, batches))
    seconds = time.perf_counter() - start
    if taken < batches:
        raise ValueError(f"the loader has only {taken} of {batches} batches to time")
    return seconds / batches


def warm_up_batches(num_workers: int) -> int:
    """Number of batches after which a loader's speed is that of its workers.

    PyTorch lets each worker make two batches in advance; with no worker, caches fill.
    """
    return max(2 * num_workers, 1)
