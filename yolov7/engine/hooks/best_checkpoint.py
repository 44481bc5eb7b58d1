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

    Register it after the evaluation. The best number so far is part of the checkpoint.

    Args:
        evaluation: whose results are looked at.
        metric: the number that decides, the larger the better, for example "bbox/AP".
        save: called with {"metric", "value", "iteration"}; on the rank that has results.
    """

    def __init__(
        self, evaluation: Evaluation, *, metric: str, save: Callable[[dict[str, Any]], None]
    ):
        self._evaluation = evaluation
        self._metric = metric
        self._save = save
        self._best: float | None = None
        self._best_iter: int | None = None
        self._seen_iter: int | None = None

    def after_step(self) -> None:
        self._look()

    def after_train(self) -> None:
        self._look()

    def state_dict(self) -> dict[str, Any]:
        return {"metric": self._metric, "best": self._best, "best_iter": self._best_iter}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["metric"] == self._metric:
            self._best, self._best_iter = state["best"], state["best_iter"]

    def _look(self) -> None:
        results, iteration = self._evaluation.results, self._evaluation.evaluated_iter
        if not results or iteration == self._seen_iter:
            return
        self._seen_iter = iteration
        value = results.get(self._metric, math.nan)
        if self._metric not in results:
            logger.warning(
                "TEST.BEST_METRIC '%s' is not among the results (%s): no best checkpoint.",
                self._metric,
                ", ".join(results),
            )
        if math.isnan(value) or (self._best is not None and value <= self._best):
            return
        self._best, self._best_iter = value, iteration
        self._save({"metric": self._metric, "value": value, "iteration": iteration})
        logger.info("The best %s so far: %.3f.", self._metric, value)
