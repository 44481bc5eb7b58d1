"""Files that are either the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from yolov7.utils.errors import UserError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, suffix: str = "") -> Iterator[Path]:
    """Yield the path of an empty file that replaces `path` once all of it is safely on disk.

    For writers that want a name; for others there is `atomic_write`. The file lies in the folder
    of `path`; it is synced and renamed over `path` when the block ends. If the block raises or the
    disk is full, `path` keeps its old content and the temporary file is removed.

    Args:
        path: the file to write; its folder is created if need be.
        suffix: what the name of the temporary file ends in, after `.tmp`.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{suffix}"
        )
        os.close(descriptor)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Choose a folder that exists and that you may write to."
        ) from error
    try:
        yield Path(name)
        _sync(name)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise UserError(
                f"Could not write {path}: {error.strerror or error}. "
                "The previous file, if there was one, is unchanged."
            ) from error
        raise


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file for writing that replaces `path` only once all of it is safely on disk.

    Args:
        path: as for `atomic_path`.
        mode: `"wb"` for bytes or `"w"` for UTF-8 text.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"mode must be 'wb' or 'w', got {mode!r}")
    encoding = "utf-8" if mode == "w" else None
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding) as file:
        yield file


def atomic_write_json(
    path: str | os.PathLike[str], value: Any, *, indent: int | None = None
) -> None:
    """Write `value` as JSON through `atomic_write`."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=indent)
        file.write("\n")


def _umask() -> int:
    """Read the process's umask (there is no call that only reads it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(name: str) -> None:
    descriptor = os.open(name, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable; systems whose folders cannot be opened do without."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
