"""Reading JSON files that people hand over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from yolov7.utils.errors import DatasetError


def read_json(path: str | os.PathLike[str], *, kind: str) -> Any:
    """Read a JSON file in UTF-8, with or without a byte order mark, or in UTF-16 or 32.

    Args:
        path: the file.
        kind: what it should be, for the message: "annotation file".

    Raises:
        DatasetError: it is missing or no JSON; file, line and column are named.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(f"Cannot read {kind} {path}: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}). "
            "The file may be cut off; fetch or make it again."
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a JSON text file ({error.reason}).") from error
