"""Writers of what the event storage holds: base class, json lines, and the log line."""

from __future__ import annotations

import datetime
import json
import logging
import os
import time
from collections import defaultdict

import torch

from yolov7.d2.embedded.event_storage import EventStorage, get_event_storage
from yolov7.d2.embedded.path_manager import PathManager

_logger = logging.getLogger(__name__)


class EventWriter:
    """Takes what is new from the current event storage and shows it somewhere."""

    def write(self) -> None:
        """Write what was put since the last call; subclasses must write this."""
        raise NotImplementedError(f"{type(self).__name__} does not define write.")

    def close(self) -> None:
        """Finish; nothing is written afterwards."""


class JSONWriter(EventWriter):
    """Appends scalars to a file, one json object per iteration and line.

    An existing file is continued. Each line has the key "iteration" and the scalars last put in
    that iteration; iterations already written are left out.
    """

    def __init__(self, json_file: str, window_size: int = 20):
        """Open the file; `window_size` is that of the median of scalars that want smoothing."""
        self._file = PathManager.open(json_file, "a")
        self._window_size = window_size
        self._last_iteration = -1

    def write(self) -> None:
        """Write the new scalars and make sure that they are on the disk."""
        lines: dict[int, dict[str, float]] = defaultdict(dict)
        latest = get_event_storage().latest_with_smoothing_hint(self._window_size)
        for name, (value, iteration) in latest.items():
            if iteration > self._last_iteration:
                lines[iteration][name] = value
        for iteration in sorted(lines):
            line = {**lines[iteration], "iteration": iteration}
            self._file.write(json.dumps(line, sort_keys=True) + "\n")
            self._last_iteration = iteration
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CommonMetricPrinter(EventWriter):
    """Logs one line: time left, iteration, losses, times, learning rate and memory."""

    def __init__(self, max_iter: int | None = None, window_size: int = 20):
        """Take the length of the training (without it no time left is shown) and the window."""
        self._max_iter = max_iter
        self._window_size = window_size
        # (iteration, clock) of the last call, for the time left while no "time" is being put.
        self._last_call: tuple[int, float] | None = None

    def write(self) -> None:
        """Log the line; nothing once training is over."""
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return
        groups = [
            self._time_left(storage),
            f"iter: {storage.iter}",
            self._medians(storage, "loss"),
            self._medians(storage, "[metric]"),
            self._times(storage),
            f"lr: {_latest(storage, 'lr', '.5g') or 'N/A'}",
        ]
        if torch.cuda.is_available():
            groups.append(f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M")
        _logger.info("  ".join(group for group in groups if group))

    def _time_left(self, storage: EventStorage) -> str:
        if self._max_iter is None:
            return ""
        remaining = self._max_iter - storage.iter - 1
        if "time" in storage.histories():
            seconds = storage.history("time").median(1000) * remaining
            storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
        else:
            now, last = time.perf_counter(), self._last_call
            self._last_call = (storage.iter, now)
            if last is None or last[0] == storage.iter:
                return ""
            seconds = (now - last[1]) / (storage.iter - last[0]) * remaining
        return f"eta: {datetime.timedelta(seconds=int(seconds))}"

    def _medians(self, storage: EventStorage, marker: str) -> str:
        return "  ".join(
            f"{name}: {values.median(storage.count_samples(name, self._window_size)):.4g}"
            for name, values in storage.histories().items()
            if marker in name
        )

    def _times(self, storage: EventStorage) -> str:
        parts = []
        if "time" in storage.histories():
            parts.append(f"time: {storage.history('time').global_avg():.4f}")
            parts.append(f"last_time: {_latest(storage, 'time', '.4f')}")
        if "data_time" in storage.histories():
            recent = storage.count_samples("data_time", self._window_size)
            parts.append(f"data_time: {storage.history('data_time').avg(recent):.4f}")
            parts.append(f"last_data_time: {_latest(storage, 'data_time', '.4f')}")
        return "  ".join(parts)


def _latest(storage: EventStorage, name: str, spec: str) -> str:
    known = name in storage.histories()
    return format(storage.history(name).latest(), spec) if known else ""
