"""A lock on a folder that ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from yolov7.utils.errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

logger = logging.getLogger(__name__)

_NAME = ".lock"
_SECONDS_TO_WAIT = 2.0


class FolderInUse(UserError):
    """Another process holds the lock; the message names it."""


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other processes, on this and other machines, out of the same block for this folder.

    The operating system keeps the lock (POSIX `fcntl`), so nothing is left locked by a kill. Child
    processes do not hold it, and within one process it does not exclude. A holder gets two seconds
    to end. The file `.lock` in the folder says who holds it. Where the file system has no locks,
    that is logged and all go on.

    Args:
        folder: is created if need be.

    Raises:
        FolderInUse: another process is in the block.
        UserError: the folder cannot be written.
    """
    if fcntl is None:
        yield
        return
    path = Path(folder) / _NAME
    descriptor = _acquire(path)
    try:
        yield
    finally:
        # Removed while it is locked: whoever has opened it meanwhile sees that it is gone.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """Open and lock the file; return its descriptor."""
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(
                f"Cannot write {path}: {error.strerror or error}. "
                "Set OUTPUT_DIR to a folder that you may write to."
            ) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = os.read(descriptor, 1000).decode("utf-8", "replace").strip()
            os.close(descriptor)
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise FolderInUse(
                f"{path.parent} is in use by {holder or 'another process'}. Wait for it, end it, "
                "or set another OUTPUT_DIR."
            ) from error
        except OSError as error:
            logger.warning(
                "%s: this file system has no locks (%s), so nothing keeps two runs apart.",
                path,
                error.strerror,
            )
            return descriptor
        if _is_same_file(descriptor, path):
            break
        # The one before has removed it between our opening and locking.
        os.close(descriptor)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
        os.ftruncate(descriptor, 0)
        text = f"process {os.getpid()} on {socket.gethostname()}, which started at {now}\n"
        os.write(descriptor, text.encode())
    return descriptor


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
