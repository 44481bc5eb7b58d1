"""Writing of what the event storage holds."""

from __future__ import annotations

from collections.abc import Sequence

from yolov7.d2 import EventWriter, HookBase


class Writing(HookBase):
    """Calls writers every so many iterations, at the last iteration and in the end.

    Args:
        writers: log line, metrics.json, TensorBoard …
        period: iterations between calls.
    """

    def __init__(self, writers: Sequence[EventWriter], *, period: int):
        self._writers = writers
        self._period = period
        self._written_iter: int | None = None

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        is_last = done == self.trainer.max_iter or self.trainer.stop_signal is not None
        if done % self._period == 0 or is_last:
            self._write()

    def after_train(self) -> None:
        if self.trainer.iter != self._written_iter:
            self._write()
        for writer in self._writers:
            writer.close()

    def _write(self) -> None:
        self._written_iter = self.trainer.iter
        for writer in self._writers:
            writer.write()
