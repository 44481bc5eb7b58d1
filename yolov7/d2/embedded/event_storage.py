"""`EventStorage`: scalars and pictures of a training, by name and iteration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fvcore.common.history_buffer import HistoryBuffer

# Storages that have been entered, the current one last.
_entered: list[EventStorage] = []


def has_event_storage() -> bool:
    """Say whether there is a current storage."""
    return len(_entered) > 0


def get_event_storage() -> EventStorage:
    """Return the current storage: that of the innermost `with EventStorage()`.

    Raises:
        AssertionError: there is none.
    """
    assert has_event_storage(), "There is no event storage outside of 'with EventStorage(...)'."
    return _entered[-1]


class EventStorage:
    """Keeps what a training reports; writers take it from here.

    As a context manager it becomes the current storage. The training loop sets `iter` before each
    iteration (or calls `step` after it), and everything put is stamped with it.
    """

    def __init__(self, start_iter: int = 0):
        self.iter = start_iter
        self._prefix = ""
        self._histories: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._smoothing_hints: dict[str, bool] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        # The TensorBoard writer takes these two and clears them. The names are part of the format.
        self._vis_data: list[tuple[str, Any, int]] = []
        self._histograms: list[dict[str, Any]] = []

    @property
    def iter(self) -> int:
        """The current iteration."""
        return self._iter

    @iter.setter
    def iter(self, value: int) -> None:
        self._iter = int(value)

    @property
    def iteration(self) -> int:
        """Another name of `iter`."""
        return self._iter

    def step(self) -> None:
        """Go on to the next iteration."""
        self._iter += 1

    def put_scalar(
        self, name: str, value: Any, smoothing_hint: bool = True, cur_iter: int | None = None
    ) -> None:
        """Report a number.

        Args:
            smoothing_hint: whether writers should show a median of recent values instead of the
                latest one. It must be the same each time (`AssertionError`).
            cur_iter: the iteration it belongs to; by default the current one.
        """
        name = self._prefix + name
        hint = self._smoothing_hints.setdefault(name, smoothing_hint)
        assert hint == smoothing_hint, f"'{name}' was put with smoothing_hint={hint} before."
        number = float(value)
        iteration = self._iter if cur_iter is None else cur_iter
        self._histories[name].update(number, iteration)
        self._latest[name] = (number, iteration)

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: Any
    ) -> None:
        """Report several numbers by keyword."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def put_image(self, img_name: str, img_tensor: Any) -> None:
        """Keep a picture (3, H, W), RGB, uint8 or float in [0, 1], for TensorBoard."""
        self._vis_data.append((img_name, img_tensor, self._iter))

    def put_histogram(self, hist_name: str, hist_tensor: torch.Tensor, bins: int = 1000) -> None:
        """Keep the histogram of a tensor's values for TensorBoard."""
        values = hist_tensor.detach().float().flatten()
        low, high = values.min().item(), values.max().item()
        self._histograms.append(
            {
                "tag": hist_name,
                "min": low,
                "max": high,
                "num": len(values),
                "sum": float(values.sum()),
                "sum_squares": float(values.square().sum()),
                "bucket_limits": torch.linspace(low, high, bins + 1)[1:].tolist(),
                "bucket_counts": torch.histc(values, bins=bins).tolist(),
                "global_step": self._iter,
            }
        )

    def history(self, name: str) -> HistoryBuffer:
        """All values of a scalar; `KeyError` when it was never put."""
        if name not in self._histories:
            raise KeyError(f"No scalar '{name}' was ever put.")
        return self._histories[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """All values of all scalars, by name."""
        return self._histories

    def latest(self) -> dict[str, tuple[float, int]]:
        """The last (value, iteration) of each scalar."""
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """Like `latest`, with medians for scalars that want smoothing.

        Args:
            window_size: the median is over what was put in this many last *iterations*.
        """
        return {
            name: (self._shown_value(name, value, window_size), iteration)
            for name, (value, iteration) in self._latest.items()
        }

    def _shown_value(self, name: str, value: float, window_size: int) -> float:
        if not self._smoothing_hints[name]:
            return value
        return self._histories[name].median(self.count_samples(name, window_size))

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """How many values a scalar got in its last `window_size` iterations."""
        iterations = [iteration for _, iteration in self.history(name).values()]
        oldest = iterations[-1] - window_size
        count = 0
        for iteration in reversed(iterations):
            if iteration <= oldest:
                break
            count += 1
        return count

    def smoothing_hints(self) -> dict[str, bool]:
        """Whether each scalar wants smoothing."""
        return self._smoothing_hints

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put `name/` before the names of all scalars put inside of the `with`."""
        outer = self._prefix
        self._prefix = name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._prefix = outer

    def clear_images(self) -> None:
        """Forget the pictures."""
        self._vis_data = []

    def clear_histograms(self) -> None:
        """Forget the histograms."""
        self._histograms = []

    def __enter__(self) -> EventStorage:
        _entered.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert _entered[-1] is self, "Event storages must be left in reverse order."
        _entered.pop()
