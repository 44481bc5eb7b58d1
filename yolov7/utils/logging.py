"""The package's logger: the terminal for rank 0, one file a rank."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from yolov7.utils.errors import UserError

_FORMAT = "[%(asctime)s %(name)s %(levelname)s] %(message)s"
_TIME = "%m/%d %H:%M:%S"


def setup_logger(
    output_dir: str | Path | None = None, *, rank: int = 0, name: str = "yolov7"
) -> logging.Logger:
    """Send the package's messages to the terminal (rank 0) and to `log.txt`.

    Calling it again replaces the handlers, so that messages are never doubled.

    Args:
        output_dir: folder of `log.txt` (`log.txt.rank1` … for other ranks); None for no file.
        rank: this process's rank.
        name: the logger to set up; its children inherit.

    Raises:
        UserError: the folder cannot be written.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    formatter = logging.Formatter(_FORMAT, datefmt=_TIME)
    if rank == 0:
        terminal = logging.StreamHandler(sys.stdout)
        terminal.setFormatter(formatter)
        logger.addHandler(terminal)
    if output_dir is not None:
        path = Path(output_dir) / ("log.txt" if rank == 0 else f"log.txt.rank{rank}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _LogFile(path, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"Cannot write the log {path}: {error.strerror or error}. "
                "Set OUTPUT_DIR to a folder that you may write to."
            ) from error
        file.setFormatter(formatter)
        logger.addHandler(file)
    return logger


class _LogFile(logging.FileHandler):
    """A log file that says once, not with a stack trace for every line, that its disk is full."""

    _is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_broken:
            self._is_broken = True
            sys.stderr.write(f"The log {self.baseFilename} is not written: {error.strerror}.\n")
