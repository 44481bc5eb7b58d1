"""What all benchmarks share: fair timing of alternatives, the machine's description, JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolov7.analysis import alternate, compare, summarize
from yolov7.utils.atomic import atomic_write_json
from yolov7.utils.environment import describe_machine

__all__ = [
    "CONFIGS",
    "RESULTS",
    "alternate",
    "compare",
    "describe_machine",
    "print_rows",
    "summarize",
    "write_result",
]

RESULTS = Path(__file__).resolve().parent / "results"
CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "coco"


def write_result(name: str, result: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write ``<name>.json`` with the result and the machine's description; returns the file."""
    folder = RESULTS if folder is None else folder
    file = folder / f"{name}.json"
    atomic_write_json(file, {"machine": describe_machine(), **result}, indent=2)
    return file


def print_rows(title: str, result: dict[str, Any]) -> None:
    """Every timing in a tree of results, a line each."""
    for name, value in result.items():
        if not isinstance(value, dict):
            continue
        if "median_s" in value:
            print(
                f"{title:<44} {name:<36}{1e3 * value['median_s']:10.1f} ms"
                f"{1e3 * value['fastest_s']:10.1f} at best{value['ratio']:8.2f} times as fast"
            )
        else:
            print_rows(f"{title} / {name}", value)
