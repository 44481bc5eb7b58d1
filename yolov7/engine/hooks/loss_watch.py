"""A loss that does not fall is pointed out, early enough to stop and look."""

from __future__ import annotations

import logging
import statistics
from typing import Any

from yolov7.d2 import HookBase

logger = logging.getLogger(__name__)


class LossWatch(HookBase):
    """Warns once when the total loss has fallen by less than 5 % since the beginning.

    The medians of the first and of the latest 50 iterations are compared, those of each term too,
    which the warning lists. Training goes on.

    Args:
        at: after so many iterations, at least 100.
        advice: what to look at; ends the warning.
    """

    WINDOW = 50
    # Trainings that learn have lost 13 to 95 % of their first loss after 500 iterations.
    LEAST_FALL = 0.05

    def __init__(self, *, at: int, advice: str):
        self._at = at
        self._advice = advice
        self._first: dict[str, list[float]] = {}
        self._latest: dict[str, list[float]] = {}

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done <= self.WINDOW:
            self._remember(self._first)
        elif self._at - self.WINDOW < done <= self._at:
            self._remember(self._latest)
        if done == self._at:
            self._judge()

    def state_dict(self) -> dict[str, Any]:
        """`{"first": {name: values}, "latest": {name: values}}`."""
        return {"first": self._first, "latest": self._latest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first, self._latest = dict(state["first"]), dict(state["latest"])

    def _remember(self, values: dict[str, list[float]]) -> None:
        """Add the losses of this iteration, unless its step was left out."""
        for name, (value, when) in self.trainer.storage.latest().items():
            if when == self.trainer.iter and (name == "total_loss" or name.startswith("loss")):
                values.setdefault(name, []).append(value)

    def _judge(self) -> None:
        # A run resumed from a checkpoint of an older version knows nothing of its beginning.
        if "total_loss" not in self._first or "total_loss" not in self._latest:
            return
        before, now = (
            {name: statistics.median(values) for name, values in part.items()}
            for part in (self._first, self._latest)
        )
        if now["total_loss"] <= (1 - self.LEAST_FALL) * before["total_loss"]:
            return
        terms = ", ".join(
            f"{name} {before[name]:.4g} -> {now[name]:.4g}"
            for name in ("total_loss", *sorted(before.keys() - {"total_loss"}))
            if name in now
        )
        logger.warning(
            "The loss does not fall: medians of the first %d iterations -> of the %d before "
            "iteration %d: %s. %s",
            self.WINDOW, self.WINDOW, self._at, terms, self._advice,
        )  # fmt: skip
