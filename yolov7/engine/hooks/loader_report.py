"""What the loader does to training: time spent waiting for it, and images it had to skip."""

from __future__ import annotations

import logging
import os

from yolov7.d2 import HookBase, all_gather

logger = logging.getLogger(__name__)

_WINDOW = 100
_TOO_MUCH_WAITING = 0.25


class LoaderReport(HookBase):
    """Says once when training waits for data, and counts skipped images.

    Args:
        num_workers: of each rank's loader, for the advice.
        period: iterations between two looks; all ranks exchange their counts then.
    """

    def __init__(self, *, num_workers: int, period: int):
        self._num_workers = num_workers
        self._period = period
        self._skipped_since = 0
        self._skipped = 0
        self._has_warned = False

    def after_step(self) -> None:
        self._skipped_since += sum(s.get("skipped_images", 0) for s in self.trainer.batch)
        done = self.trainer.iter + 1
        is_last = done == self.trainer.max_iter or self.trainer.stop_signal is not None
        if done % self._period == 0 or is_last:
            self._count_skipped()
        if not self._has_warned and done % _WINDOW == 0:
            self._look_at_waiting()

    def state_dict(self) -> dict[str, int]:
        return {"skipped": self._skipped}

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

    def _look_at_waiting(self) -> None:
        histories = self.trainer.storage.histories()
        if "time" not in histories:
            return
        total = histories["time"].avg(_WINDOW)
        waiting = histories["data_time"].avg(_WINDOW)
        if waiting < _TOO_MUCH_WAITING * total:
            return
        self._has_warned = True
        logger.warning(
            "Training waits for data %.0f %% of the time: with %d workers on %d cores, raise "
            "DATALOADER.NUM_WORKERS, or store smaller images, or use fewer augmentations.",
            100 * waiting / total,
            self._num_workers,
            os.cpu_count(),
        )
