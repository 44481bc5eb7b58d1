"""Folders that are complete or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from yolov7.utils.errors import UserError


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder that becomes `path` once the block ends.

    It lies beside `path` until then, and is removed with all it holds if the block raises.

    Args:
        path: the folder to make; it may exist if it is empty.
        replace: whether it may hold something, which is then removed in the end.

    Raises:
        UserError: `path` exists and may not be replaced, or something cannot be written.
    """
    path = Path(path)
    replace = replace and path.is_dir()
    if os.path.lexists(path) and not replace and not (path.is_dir() and not os.listdir(path)):
        raise UserError(f"{path} exists already. Choose another folder, or remove it first.")
    temporary = path.absolute().parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    old = temporary.with_suffix(".old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        # One flush of everything is much faster than one a file.
        os.sync()
        if replace:
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
        if isinstance(error, OSError):
            raise UserError(
                f"Could not write {path}: {error.strerror or error}. Nothing is left of it."
            ) from error
        raise
