import time

import pytest

from yolov7.analysis import alternate, compare, summarize


def test_measurements_are_taken_in_turn_and_the_first_round_does_not_count():
    order = []

    def measurement(name, first):
        def measure():
            order.append(name)
            return first + order.count(name)

        return measure

    seconds = alternate({"a": measurement("a", 0.0), "b": measurement("b", 10.0)}, repeats=2)
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [2.0, 3.0], "b": [12.0, 13.0]}


def test_summary_by_hand():
    rows = summarize({"reference": [3.0, 1.0, 8.0], "other": [2.0, 4.0]})
    assert rows == {
        "reference": {
            "median_s": 3.0, "fastest_s": 1.0, "slowest_s": 8.0, "repeats": 3, "ratio": 1.0,
        },
        "other": {"median_s": 3.0, "fastest_s": 2.0, "slowest_s": 4.0, "repeats": 2, "ratio": 1.0},
    }  # fmt: skip
    assert summarize({"slow": [6.0], "fast": [1.5]})["fast"]["ratio"] == 4.0


def test_the_clock_runs_while_the_alternative_does():
    rows = compare({"short": lambda: None, "long": lambda: time.sleep(0.02)}, repeats=2)
    assert rows["long"]["fastest_s"] >= 0.02
    assert rows["long"]["ratio"] == pytest.approx(
        rows["short"]["median_s"] / rows["long"]["median_s"]
    )
