"""Long work that ends in good order when a signal asks for it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class StopRequest:
    """Whether a signal has asked to stop.

    Attributes:
        signal_number: the signal, or 0 as long as there was none.
    """

    signal_number: int = 0

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self.signal_number != 0


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT (Ctrl-C) and SIGTERM into a request that the work looks at from time to time.

    A second signal has its usual effect. Outside of the main thread signals are left alone.
    """
    request = StopRequest()
    previous: dict[int, Any] = {}

    def restore() -> None:
        for number in list(previous):
            signal.signal(number, previous.pop(number))

    def handle(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
