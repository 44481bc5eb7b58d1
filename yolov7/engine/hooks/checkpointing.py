"""Checkpoints during training, at its end and when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yolov7.checkpoint import Checkpointer
from yolov7.d2 import HookBase, is_main_process, synchronize


class Checkpointing(HookBase):
    """Saves every so many iterations, after the last one, and when a signal stops training.

    Register it after all hooks that act on a step: what a checkpoint holds is then the state in
    which the next iteration starts, and what other hooks did for this iteration (evaluation,
    metrics) is not lost by a kill that follows.

    Args:
        checkpointer: where to save.
        collect: returns the state of the training; called on all ranks, used on the first.
        period: iterations between checkpoints; 0 for the last one only.
    """

    def __init__(
        self, checkpointer: Checkpointer, *, collect: Callable[[], dict[str, Any]], period: int
    ):
        self._checkpointer = checkpointer
        self._collect = collect
        self._period = period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter:
            self._save(lambda state: self._checkpointer.save("model_final", state))
        elif self.trainer.is_last_step or (self._period and done % self._period == 0):
            self._save(lambda state: self._checkpointer.save_numbered(self.trainer.iter, state))

    def _save(self, write: Callable[[dict[str, Any]], Any]) -> None:
        state = self._collect()
        if is_main_process():
            write(state)
        synchronize()
