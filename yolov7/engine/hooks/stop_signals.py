"""SIGTERM and SIGINT end training after the step at hand, not in the middle of it."""

from __future__ import annotations

import ctypes
import functools
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from yolov7.d2 import HookBase

logger = logging.getLogger(__name__)

_SECONDS_OF_A_WORKER = 30


class StopSignals(HookBase):
    """Turns SIGTERM and SIGINT into a request to stop; a second one ends the process at once.

    Signals often go to a whole group of processes (Ctrl-C, torchrun, a cluster's scheduler). The
    workers of the trainer's loader then live on for a while, so that the step can be finished.
    """

    def before_train(self) -> None:
        self._is_training = multiprocessing.RawValue("b", True)
        loader = self.trainer.loader
        if getattr(loader, "num_workers", 0):
            loader.worker_init_fn = functools.partial(
                _outlive_signals, loader.worker_init_fn, self._is_training
            )
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
        self._is_training.value = False
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # No logging here: the signal may have come in the middle of another log call.
        self._restore()
        self.trainer.request_stop(number)

    def _restore(self) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        self._previous = {}


def _outlive_signals(
    init: Callable[[int], None] | None, is_training: ctypes.c_byte, worker: int
) -> None:
    """Start a loader worker that ends some time after a signal, not at once, while training."""
    if init is not None:
        init(worker)

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not is_training.value:
            # Loaders end their own workers by SIGTERM, too, and take another code for an error.
            os._exit(0)
        signal.alarm(_SECONDS_OF_A_WORKER)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
