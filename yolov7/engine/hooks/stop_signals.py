"""SIGTERM and SIGINT end training after the step at hand, not in the middle of it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any

from yolov7.d2 import HookBase

logger = logging.getLogger(__name__)

_SECONDS_OF_A_WORKER = 30


class StopSignals(HookBase):
    """Turns SIGTERM and SIGINT into a request to stop; a second one ends the process at once.

    Loader workers are forked with these handlers: signals for a whole process group (Ctrl-C, a
    cluster's scheduler) must not take the data from a step that is to be finished, so a worker
    lives on for a while.
    """

    def before_train(self) -> None:
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)

    def after_step(self) -> None:
        if self.trainer.stop_signal is not None:
            logger.warning(
                "%s: training stops after iteration %d.",
                signal.Signals(self.trainer.stop_signal).name,
                self.trainer.iter,
            )

    def after_train(self) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            signal.alarm(_SECONDS_OF_A_WORKER)
            return
        # No logging here: the signal may have come in the middle of another log call.
        self._restore()
        self.trainer.request_stop(number)

    def _restore(self) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        self._previous = {}
