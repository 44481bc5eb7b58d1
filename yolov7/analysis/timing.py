"""Fair timing of alternatives: in turn, over and over, so that what happens meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def compare(alternatives: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Time alternatives in turn.

    Args:
        alternatives: functions without arguments that do the same work; the first is the
            reference of the ratios.
        repeats: timed rounds, after one that is not timed.

    Returns:
        see `summarize`.
    """
    stopwatches = {name: _stopwatch(function) for name, function in alternatives.items()}
    return summarize(alternate(stopwatches, repeats))


def alternate(
    measurements: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, list[float]]:
    """Take measurements in turn, for work whose preparation must not count.

    Args:
        measurements: functions that do their work and return its seconds.
        repeats: rounds that count, after one that does not.

    Returns:
        {name: seconds of every round}.
    """
    seconds: dict[str, list[float]] = {name: [] for name in measurements}
    for turn in range(repeats + 1):
        for name, measure in measurements.items():
            taken = measure()
            if turn > 0:
                seconds[name].append(taken)
    return seconds


def summarize(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians, extremes and ratios of alternatives.

    Args:
        seconds: {name: its times}; the first is the reference of the ratios.

    Returns:
        {name: {"median_s", "fastest_s", "slowest_s", "repeats", "ratio"}}; ``ratio`` says how many
        times faster than the first alternative.
    """
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    reference = medians[next(iter(medians))]
    return {
        name: {
            "median_s": medians[name],
            "fastest_s": min(times),
            "slowest_s": max(times),
            "repeats": len(times),
            "ratio": reference / medians[name],
        }
        for name, times in seconds.items()
    }


def wait_for_device() -> None:
    """Wait until a GPU, if there is one, has done what was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _stopwatch(function: Callable[[], object]) -> Callable[[], float]:
    def measure() -> float:
        wait_for_device()
        start = time.perf_counter()
        function()
        wait_for_device()
        return time.perf_counter() - start

    return measure
