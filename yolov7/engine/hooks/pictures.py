"""Pictures that show what training sees and does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yolov7.d2 import HookBase


class Pictures(HookBase):
    """Draws the data at the start, the first batches, and the curves at the end.

    Args:
        draw_data: called once at the start of a fresh run.
        draw_batch: called with (samples, iteration).
        draw_curves: called once in the end, also of a run that was interrupted.
        first: how many batches are drawn at the start of a fresh run.
        period: iterations between further drawings of a batch; 0 for none.
    """

    def __init__(
        self,
        *,
        draw_data: Callable[[], None],
        draw_batch: Callable[[list[dict[str, Any]], int], None],
        draw_curves: Callable[[], None],
        first: int = 3,
        period: int = 0,
    ):
        self._draw_data = draw_data
        self._draw_batch = draw_batch
        self._draw_curves = draw_curves
        self._first = first
        self._period = period

    def before_train(self) -> None:
        if self.trainer.start_iter == 0:
            self._draw_data()

    def after_step(self) -> None:
        iteration = self.trainer.iter
        if iteration < self._first or (self._period and (iteration + 1) % self._period == 0):
            self._draw_batch(self.trainer.batch, iteration)

    def after_train(self) -> None:
        if self.trainer.iter > self.trainer.start_iter:
            self._draw_curves()
