"""Signals become requests, once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from yolov7.utils.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_is_not(number: int) -> None:
    seen = []
    before = signal.signal(number, lambda *_: seen.append("second"))
    try:
        with stop_on_signals() as stop:
            assert not stop.requested
            os.kill(os.getpid(), number)
            assert stop.requested and stop.signal_number == number and seen == []
            os.kill(os.getpid(), number)
            assert seen == ["second"]
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError), stop_on_signals():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise RuntimeError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_threads_leave_signals_alone() -> None:
    found = []

    def work() -> None:
        with stop_on_signals() as stop:
            found.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
