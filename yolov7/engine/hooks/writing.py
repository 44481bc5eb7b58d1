"""Writing of what the event storage holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yolov7.d2 import EventWriter, HookBase
from yolov7.engine.hooks.evaluation import Evaluation
from yolov7.utils.errors import UserError


class Writing(HookBase):
    """Calls writers every so many iterations, after evaluations, and in the end.

    The storage knows the latest value of a name only, so results that are not written before the
    next evaluation would be lost.

    Args:
        writers: log line, metrics.json, TensorBoard …
        period: iterations between calls.
        evaluation: registered before this hook, if there is one.

    Raises:
        UserError: a writer meets a full disk or the like.
    """

    def __init__(
        self,
        writers: Sequence[EventWriter],
        *,
        period: int,
        evaluation: Evaluation | None = None,
    ):
        self._writers = writers
        self._period = period
        self._evaluation = evaluation
        self._written_iter = -1

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        evaluated = None if self._evaluation is None else self._evaluation.evaluated_iter
        if done % self._period == 0 or self.trainer.is_last_step or evaluated == self.trainer.iter:
            self._write()

    def after_train(self) -> None:
        newest = max((when for _, when in self.trainer.storage.latest().values()), default=-1)
        if newest > self._written_iter:
            self._write()
        for writer in self._writers:
            _reporting_disk_errors(writer, writer.close)

    def _write(self) -> None:
        self._written_iter = self.trainer.iter
        for writer in self._writers:
            _reporting_disk_errors(writer, writer.write)


def _reporting_disk_errors(writer: EventWriter, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(
            f"{type(writer).__name__} cannot write into the output folder: "
            f"{error.strerror or error}. Make room and go on from the last checkpoint by --resume."
        ) from error
