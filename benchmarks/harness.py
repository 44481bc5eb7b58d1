"""What all benchmarks share: fair timing of alternatives, the machine's description, JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolov7.analysis import alternate, compare, summarize
from yolov7.utils.atomic import atomic_write_json
from yolov7.utils.environment import describe_machine

__all__ = ["RESULTS", "alternate", "compare", "describe_machine", "summarize", "write_result"]

RESULTS = Path(__file__).resolve().parent / "results"


def write_result(name: str, result: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write ``<name>.json`` with the result and the machine's description; returns the file."""
    folder = RESULTS if folder is None else folder
    file = folder / f"{name}.json"
    atomic_write_json(file, {"machine": describe_machine(), **result}, indent=2)
    return file
