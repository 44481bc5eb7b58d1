"""The checkpoint with the best evaluation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from yolov7.d2 import HookBase
from yolov7.engine.hooks.evaluation import Evaluation

logger = logging.getLogger(__name__)


class BestCheckpoint(HookBase):
    """Saves after every evaluation that is better than all before it.

    Register it after the evaluation. What it knows is the same on all ranks, and part of the
    checkpoint.

    Args:
        evaluation: whose results are looked at.
        metric: the number that decides, for example "bbox/AP". The larger the better, unless
            "loss" is in its name.
        save: called with {"metric", "value", "iteration"} on all ranks.

    Attributes:
        best: the best number so far, or None.
        best_iter: the iteration it belongs to, or None.
        evaluations_since: how many evaluations were not better since then; NaN is not better.
    """

    def __init__(
        self, evaluation: Evaluation, *, metric: str, save: Callable[[dict[str, Any]], None]
    ):
        self.metric = metric
        self.best: float | None = None
        self.best_iter: int | None = None
        self.evaluations_since = 0
        self._evaluation = evaluation
        self._save = save
        self._seen_iter: int | None = None

    def after_step(self) -> None:
        self._look()

    def after_train(self) -> None:
        self._look()

    def state_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "best": self.best,
            "best_iter": self.best_iter,
            "evaluations_since": self.evaluations_since,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["metric"] == self.metric:
            self.best, self.best_iter = state["best"], state["best_iter"]
            # Checkpoints of before there was early stopping lack it.
            self.evaluations_since = state.get("evaluations_since", 0)

    def _look(self) -> None:
        results, iteration = self._evaluation.results, self._evaluation.evaluated_iter
        if not results or iteration == self._seen_iter:
            return
        self._seen_iter = iteration
        if self.metric not in results:
            logger.warning(
                "TEST.BEST_METRIC '%s' is not among the results (%s): no best checkpoint, and no "
                "early stopping.",
                self.metric,
                ", ".join(results),
            )
            return
        value = results[self.metric]
        if not self._is_better(value):
            self.evaluations_since += 1
            return
        self.best, self.best_iter, self.evaluations_since = value, iteration, 0
        self._save({"metric": self.metric, "value": value, "iteration": iteration})
        logger.info("The best %s so far: %.3f.", self.metric, value)

    def _is_better(self, value: float) -> bool:
        if math.isnan(value) or self.best is None:
            return not math.isnan(value)
        return value < self.best if "loss" in self.metric else value > self.best
