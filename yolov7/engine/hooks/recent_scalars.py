"""What smoothed numbers were lately, carried over to a resumed run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from yolov7.d2 import HookBase


class RecentScalars(HookBase):
    """Makes the medians that the writers show those of a run that was never stopped.

    Losses and the like are written as the median of the last iterations. A resumed run starts with
    an empty storage; without the values from before, its first lines of metrics.json would differ.

    Args:
        window: iterations that the writers look back.
        leave_out: scalars that are not carried over, since another run measured them.
    """

    def __init__(self, *, window: int = 20, leave_out: tuple[str, ...] = ("time", "data_time")):
        self._window = window
        self._leave_out = leave_out
        self._earlier: dict[str, list[list[float]]] = {}

    def before_train(self) -> None:
        # Not put anew: they are history, written already, not the latest values.
        histories = self.trainer.storage.histories()
        for name, values in self._earlier.items():
            for value, iteration in values:
                histories[name].update(value, iteration)

    def state_dict(self) -> dict[str, Any]:
        """`{name: [[value, iteration], …]}` of the last `window` iterations."""
        storage = self.trainer.storage
        return {
            name: self._latest_values(storage.history(name).values())
            for name, is_smoothed in storage.smoothing_hints().items()
            if is_smoothed and name not in self._leave_out
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._earlier = state

    def _latest_values(self, values: Sequence[tuple[float, float]]) -> list[list[float]]:
        oldest = self.trainer.iter - self._window
        latest = takewhile(lambda entry: entry[1] > oldest, reversed(values))
        return [list(entry) for entry in latest][::-1]
