"""How long iterations take."""

from __future__ import annotations

import datetime
import logging
import time

from yolov7.d2 import HookBase

logger = logging.getLogger(__name__)


class IterationTimer(HookBase):
    """Puts the seconds of each iteration into the storage and logs the total at the end.

    Registered first, it leaves out what the other hooks do after a step.

    Args:
        warmup_iters: iterations left out of the numbers at first, while caches fill.
    """

    def __init__(self, *, warmup_iters: int = 3):
        self._warmup_iters = warmup_iters

    def before_train(self) -> None:
        self._train_start = time.perf_counter()
        self._in_steps = 0.0
        self._steps = 0

    def before_step(self) -> None:
        self._step_start = time.perf_counter()

    def after_step(self) -> None:
        seconds = time.perf_counter() - self._step_start
        self._steps += 1
        self._in_steps += seconds
        if self._steps > self._warmup_iters:
            self.trainer.storage.put_scalar("time", seconds)

    def after_train(self) -> None:
        if not self._steps:
            return
        total = time.perf_counter() - self._train_start
        logger.info(
            "%d iterations in %s (%.4f s each) and %s for everything else.",
            self._steps,
            _duration(self._in_steps),
            self._in_steps / self._steps,
            _duration(total - self._in_steps),
        )


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
