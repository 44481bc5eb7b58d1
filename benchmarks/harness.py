"""What all benchmarks share: fair timing of alternatives, the machine's description, JSON files.

Alternatives are run in turn, over and over, so that a change of the machine's speed meets all of
them; medians are compared.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parent / "results"


def compare(alternatives: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Time alternatives in turn.

    Args:
        alternatives: functions without arguments that do the same work; the first is the
            reference of the ratios.
        repeats: timed rounds, after one that is not timed.

    Returns:
        {name: {"median_s", "fastest_s", "slowest_s", "repeats", "ratio"}}; ``ratio`` says how many
        times faster than the first alternative.
    """
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for turn in range(repeats + 1):
        for name, function in alternatives.items():
            _wait_for_device()
            start = time.perf_counter()
            function()
            _wait_for_device()
            if turn > 0:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    reference = medians[next(iter(alternatives))]
    return {
        name: {
            "median_s": medians[name],
            "fastest_s": min(times),
            "slowest_s": max(times),
            "repeats": repeats,
            "ratio": reference / medians[name],
        }
        for name, times in seconds.items()
    }


def machine_description() -> dict[str, Any]:
    """Processor, cores, threads, load, accelerator and versions, as plain values."""
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": list(os.getloadavg()),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_result(name: str, result: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write ``<name>.json`` with the result and the machine's description; returns the file."""
    folder = RESULTS if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    text = json.dumps({"machine": machine_description(), **result}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")
    return file


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
