"""A progress bar for people who watch."""

from __future__ import annotations

import contextlib
import logging
import sys

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from yolov7.d2 import HookBase


class ProgressBar(HookBase):
    """Shows a bar on a terminal; where standard error is not one, it shows nothing.

    Args:
        loggers: their lines on the terminal are written above the bar.
    """

    def __init__(self, loggers: tuple[str, ...] = ("yolov7", "detectron2")):
        self._loggers = [logging.getLogger(name) for name in loggers]
        self._bar: tqdm | None = None

    def before_train(self) -> None:
        if not sys.stderr.isatty():
            return
        self._closing = contextlib.ExitStack()
        with_terminal = [logger for logger in self._loggers if logger.handlers]
        self._closing.enter_context(logging_redirect_tqdm(with_terminal))
        self._bar = self._closing.enter_context(
            tqdm(
                total=self.trainer.max_iter,
                initial=self.trainer.start_iter,
                unit="it",
                leave=False,
                dynamic_ncols=True,
            )
        )

    def after_step(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def after_train(self) -> None:
        if self._bar is not None:
            self._closing.close()
            self._bar = None
