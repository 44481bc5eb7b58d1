"""Scalars for TensorBoard."""

from __future__ import annotations

import os

from torch.utils.tensorboard import SummaryWriter

from yolov7.d2 import EventWriter, get_event_storage


class TensorBoardWriter(EventWriter):
    """Writes the storage's scalars to `events.*`.

    Args:
        folder: where the file goes.
        start_iter: what an earlier run wrote from this iteration on is hidden.
    """

    def __init__(self, folder: str | os.PathLike[str], *, start_iter: int = 0):
        self._writer = SummaryWriter(os.fspath(folder), purge_step=start_iter or None)
        self._last = -1

    def write(self) -> None:
        latest = get_event_storage().latest_with_smoothing_hint()
        newest = self._last
        for name, (value, iteration) in latest.items():
            if iteration > self._last:
                self._writer.add_scalar(name, value, iteration)
                newest = max(newest, iteration)
        self._last = newest

    def close(self) -> None:
        self._writer.close()
