"""Evaluation during and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from yolov7.d2 import HookBase, all_gather


class Evaluation(HookBase):
    """Evaluates every so many iterations and once more when training is complete.

    The final evaluation comes after the final checkpoint and stands in the metrics of iteration
    `max_iter`. Nothing is evaluated twice: of a training that ends early by an evaluation, that
    one is the final one.

    Args:
        evaluate: returns flat results, for example {"bbox/AP": 40.5}; called on all ranks, of
            which only the first need return anything.
        period: iterations between evaluations; 0 for the final one only.

    Attributes:
        results: of the last evaluation, the same on all ranks.
        evaluated_iter: the iteration it belongs to, or None.
    """

    def __init__(self, evaluate: Callable[[], Mapping[str, float]], *, period: int):
        self._evaluate = evaluate
        self._period = period
        self.results: dict[str, float] = {}
        self.evaluated_iter: int | None = None

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._period > 0 and done % self._period == 0 and done < self.trainer.max_iter:
            self._run()

    def after_train(self) -> None:
        if self.trainer.is_complete and self.evaluated_iter != self.trainer.iter - 1:
            self._run()

    def _run(self) -> None:
        results = dict(self._evaluate())
        self.results = next(filter(None, all_gather(results)), {})
        self.evaluated_iter = self.trainer.iter
        self.trainer.storage.put_scalars(**self.results, smoothing_hint=False)
