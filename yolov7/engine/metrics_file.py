"""`metrics.json`: one JSON object a line, continued by a resumed run."""

from __future__ import annotations

import json
from pathlib import Path

from yolov7.utils.atomic import atomic_write


def drop_lines_from(path: Path, start_iter: int) -> None:
    """Remove what a run wrote at or after `start_iter`, and a line that a kill cut off."""
    if not path.exists():
        return
    kept = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if _is_before(line, start_iter)
    ]
    with atomic_write(path, "w") as file:
        file.writelines(f"{line}\n" for line in kept)


def _is_before(line: str, start_iter: int) -> bool:
    try:
        return json.loads(line)["iteration"] < start_iter
    except (ValueError, KeyError, TypeError):
        return False
