"""How long iterations take."""

from __future__ import annotations

import time

from yolov7.d2 import HookBase


class IterationTimer(HookBase):
    """Puts the seconds of each iteration into the storage.

    Registered first, it leaves out what the other hooks do after a step.

    Args:
        warmup_iters: iterations whose time is not put, while caches fill.

    Attributes:
        steps: how many iterations were made.
        seconds: how long all of them took together.
    """

    def __init__(self, *, warmup_iters: int = 3):
        self._warmup_iters = warmup_iters
        self.steps = 0
        self.seconds = 0.0

    def before_step(self) -> None:
        self._step_start = time.perf_counter()

    def after_step(self) -> None:
        seconds = time.perf_counter() - self._step_start
        self.steps += 1
        self.seconds += seconds
        if self.steps > self._warmup_iters:
            self.trainer.storage.put_scalar("time", seconds)
