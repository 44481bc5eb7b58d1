import time

import pytest

from yolov7.analysis import seconds_per_batch, warm_up_batches


class SlowStart:
    """The first two batches of a pass take 200 ms of a clock, the others 10 ms."""

    def __init__(self, length):
        self.length = length
        self.taken = 0
        self.clock = 0.0

    def __iter__(self):
        for index in range(self.length):
            self.taken += 1
            self.clock += 0.2 if index < 2 else 0.01
            yield [index]


def test_the_first_batches_do_not_count_and_no_more_are_taken_than_needed(monkeypatch):
    loader = SlowStart(100)
    monkeypatch.setattr(time, "perf_counter", lambda: loader.clock)
    assert seconds_per_batch(loader, batches=4, warm_up=2) == pytest.approx(0.01)
    assert loader.taken == 6


def test_too_short_a_loader_is_an_error():
    with pytest.raises(ValueError, match="only 2 of 3 batches"):
        seconds_per_batch([1, 2, 3], batches=3, warm_up=1)


@pytest.mark.parametrize(("workers", "batches"), [(0, 1), (1, 2), (4, 8)])
def test_what_workers_make_in_advance_is_left_out(workers, batches):
    assert warm_up_batches(workers) == batches
