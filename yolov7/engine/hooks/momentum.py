"""The momentum of each iteration."""

from __future__ import annotations

from collections.abc import Callable

from yolov7.d2 import HookBase
from yolov7.solver import set_momentum


class Momentum(HookBase):
    """Sets the momentum before every step, from the iteration alone: a resumed run has the same.

    Args:
        schedule: from `build_momentum_schedule`.
    """

    def __init__(self, schedule: Callable[[int], float]):
        self._schedule = schedule

    def before_step(self) -> None:
        set_momentum(self.trainer.optimizer, self._schedule(self.trainer.iter))
