"""What it costs to make samples: work, waiting for a core, and waiting for the storage."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class SampleCost:
    """What making samples has cost.

    Attributes:
        samples: how many they are.
        seconds: by the clock, all samples together.
        cpu_seconds: of a core's work.
        queue_seconds: of waiting for a core to be free; 0 where the system does not say (it does
            on Linux). What is left was waiting for something else, mostly for the storage.
    """

    samples: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    queue_seconds: float = 0.0

    def __add__(self, other: SampleCost) -> SampleCost:
        return SampleCost(
            self.samples + other.samples,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.queue_seconds + other.queue_seconds,
        )


class SampleClock:
    """Measures one sample, which is made by the thread that asks."""

    def __init__(self) -> None:
        # The clock's span is the outermost: its parts are never more than the whole.
        self._started = time.perf_counter()
        self._queued = _queue_seconds()
        self._cpu = time.thread_time()

    def cost(self) -> SampleCost:
        """What has been spent since the clock was made."""
        cpu = time.thread_time() - self._cpu
        queued = _queue_seconds() - self._queued
        return SampleCost(1, time.perf_counter() - self._started, cpu, queued)


def _queue_seconds() -> float:
    """How long this thread has waited for a core in all, as Linux counts it."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
