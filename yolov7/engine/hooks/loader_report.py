"""What the loader does to training: time spent waiting for it, and images it had to skip."""

from __future__ import annotations

import logging
from collections.abc import Callable

from yolov7.analysis import LoaderVerdict
from yolov7.d2 import HookBase, all_gather
from yolov7.data import SampleCost

logger = logging.getLogger(__name__)

_FIRST_LOOK = 100


class LoaderReport(HookBase):
    """Says whether training waits for data, and counts skipped images.

    The verdict comes once early, after a hundred iterations that were timed, and in the end. That
    of the rank that waits most counts, since the others wait for it.

    Args:
        judge: called with `step_seconds`, `waiting_seconds`, `batch_size` and `cost`.
        cost: what this rank's samples have cost so far.
        period: iterations between two looks at skipped images; all ranks exchange their counts
            then.
    """

    def __init__(
        self,
        *,
        judge: Callable[..., LoaderVerdict],
        cost: Callable[[], SampleCost],
        period: int,
    ):
        self._judge = judge
        self._cost = cost
        self._period = period
        self._skipped_since = 0
        self._skipped = 0
        self._timed_steps = 0
        self._seconds = 0.0
        self._waiting = 0.0

    def after_step(self) -> None:
        self._skipped_since += sum(s.get("skipped_images", 0) for s in self.trainer.batch)
        is_last = self.trainer.is_last_step
        if (self.trainer.iter + 1) % self._period == 0 or is_last:
            self._count_skipped()
        was_timed = self._look_at_clock()
        if (was_timed and self._timed_steps == _FIRST_LOOK) or (is_last and self._timed_steps):
            self._say_verdict()

    def state_dict(self) -> dict[str, int]:
        """The images skipped so far, those since the last look too; all ranks must ask together."""
        return {"skipped": self._skipped + sum(all_gather(self._skipped_since))}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._skipped = state["skipped"]

    def _count_skipped(self) -> None:
        new = sum(all_gather(self._skipped_since))
        self._skipped_since = 0
        self._skipped += new
        if new:
            logger.warning(
                "%d missing or unreadable images were replaced by others, %d so far "
                "(DATALOADER.ON_BAD_IMAGE skip).",
                new,
                self._skipped,
            )
        self.trainer.storage.put_scalar("skipped_images", self._skipped, smoothing_hint=False)

    def _look_at_clock(self) -> bool:
        """Add this step's times; the first steps have none, while caches and workers start."""
        latest = self.trainer.storage.latest()
        seconds, when = latest.get("time", (0.0, None))
        if when != self.trainer.iter:
            return False
        self._timed_steps += 1
        self._seconds += seconds
        self._waiting += latest["data_time"][0]
        return True

    def _say_verdict(self) -> None:
        mine = (self._waiting / self._seconds, self._waiting, self._seconds, self._cost())
        _, waiting, seconds, cost = max(all_gather(mine), key=lambda times: times[0])
        verdict = self._judge(
            step_seconds=seconds / self._timed_steps,
            waiting_seconds=waiting / self._timed_steps,
            batch_size=len(self.trainer.batch),
            cost=cost,
        )
        logger.log(logging.WARNING if verdict.is_loader_bound else logging.INFO, verdict.text)
