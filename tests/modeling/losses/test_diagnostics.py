from __future__ import annotations

from yolov7.d2 import EventStorage, has_event_storage
from yolov7.modeling.losses import log_diagnostics


def test_values_reach_the_log_where_there_is_one() -> None:
    with EventStorage(0) as storage:
        log_diagnostics({"num_foreground": 7, "num_foreground_per_object": 3.5})
        assert storage.latest()["num_foreground"][0] == 7
        assert storage.latest()["num_foreground_per_object"][0] == 3.5


def test_without_a_log_nothing_happens() -> None:
    assert not has_event_storage()
    log_diagnostics({"num_foreground": 7})
