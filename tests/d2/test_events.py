"""Event storage and its writers."""

from __future__ import annotations

import json
import logging
import math

import pytest
import torch

from yolov7.d2.embedded.event_storage import EventStorage, get_event_storage, has_event_storage
from yolov7.d2.embedded.event_writers import CommonMetricPrinter, EventWriter, JSONWriter


def test_the_current_storage_is_the_innermost():
    assert not has_event_storage()
    with pytest.raises(AssertionError, match="outside"):
        get_event_storage()
    with EventStorage() as outer, EventStorage(3) as inner:
        assert get_event_storage() is inner
        assert inner.iter == 3
        assert outer.iter == 0
    assert not has_event_storage()


def test_the_storage_is_left_also_after_an_error():
    with pytest.raises(ZeroDivisionError), EventStorage() as storage, storage.name_scope("x"):
        _ = 1 / 0
    assert not has_event_storage()
    storage.put_scalar("a", 1)
    assert list(storage.latest()) == ["a"]


def test_values_are_floats_stamped_with_the_iteration():
    storage = EventStorage(10)
    storage.put_scalar("a", torch.tensor(2))
    storage.iter = 12
    storage.put_scalars(b=1, c=2, smoothing_hint=False)
    storage.put_scalar("d", 1, cur_iter=5)
    storage.step()
    assert storage.latest() == {"a": (2.0, 10), "b": (1.0, 12), "c": (2.0, 12), "d": (1.0, 5)}
    assert storage.iter == storage.iteration == 13
    assert storage.smoothing_hints() == {"a": True, "b": False, "c": False, "d": True}
    with pytest.raises(AssertionError, match="smoothing_hint=False before"):
        storage.put_scalar("b", 1)
    with pytest.raises(KeyError, match="'x'"):
        storage.history("x")


def test_smoothing_is_the_median_over_iterations_not_over_samples():
    storage = EventStorage()
    for iteration in range(10):
        storage.iter = iteration
        storage.put_scalar("twice", iteration)
        storage.put_scalar("twice", iteration)
        if iteration % 5 == 0:
            storage.put_scalar("rare", iteration)
        storage.put_scalar("raw", iteration, smoothing_hint=False)
    assert storage.count_samples("twice", 3) == 6
    assert storage.count_samples("rare", 6) == 2
    latest = storage.latest_with_smoothing_hint(3)
    assert latest == {"twice": (8.0, 9), "rare": (5.0, 5), "raw": (9.0, 9)}


def test_name_scopes_replace_each_other_and_end():
    storage = EventStorage()
    with storage.name_scope("a/"):
        storage.put_scalar("x", 1)
        with storage.name_scope("b"):
            storage.put_scalar("x", 2)
        storage.put_scalar("y", 3)
    storage.put_scalar("z", 4)
    assert set(storage.latest()) == {"a/x", "b/x", "a/y", "z"}


def test_pictures_and_histograms_are_kept_until_cleared():
    storage = EventStorage(4)
    storage.put_image("i", torch.zeros(3, 2, 2))
    storage.put_histogram("h", torch.tensor([1, 2, 4]), bins=3)
    assert storage._vis_data[0][0::2] == ("i", 4)
    (histogram,) = storage._histograms
    assert histogram["bucket_counts"] == [1, 1, 1]
    assert histogram["bucket_limits"] == [2, 3, 4]
    assert (histogram["sum"], histogram["sum_squares"], histogram["num"]) == (7, 21, 3)
    storage.clear_images()
    storage.clear_histograms()
    assert storage._vis_data == storage._histograms == []


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines_are_appended_and_never_repeated(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"iteration": 0}\n')
    with EventStorage(1) as storage:
        writer = JSONWriter(str(path), window_size=2)
        for iteration in range(1, 7):
            storage.iter = iteration
            storage.put_scalar("total_loss", iteration)
            if iteration == 2:
                storage.put_scalar("bbox/AP", math.nan, smoothing_hint=False)
            if iteration % 3 == 0:
                writer.write()
        writer.write()
        writer.close()
    lines = read(path)
    assert [line["iteration"] for line in lines] == [0, 2, 3, 6]
    assert math.isnan(lines[1]["bbox/AP"])
    assert lines[3] == {"iteration": 6, "total_loss": 5.5}


def test_final_results_go_to_a_line_of_their_own(tmp_path):
    path = tmp_path / "metrics.json"
    with EventStorage() as storage:
        writer = JSONWriter(str(path))
        storage.put_scalar("a", 1)
        writer.write()
        storage.iter = 20
        storage.put_scalar("bbox/AP", 50, smoothing_hint=False)
        writer.write()
        writer.close()
    assert read(path) == [{"a": 1, "iteration": 0}, {"bbox/AP": 50, "iteration": 20}]


def lines_of(printer: CommonMetricPrinter, caplog) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        printer.write()
    return caplog.text.strip()


def test_the_log_line(caplog):
    with EventStorage(4) as storage:
        storage.put_scalars(total_loss=2.0, loss_box=1.23456, time=0.5, data_time=0.25, other=9)
        storage.put_scalar("[metric]x", 3.0)
        storage.put_scalar("lr", 0.001, smoothing_hint=False)
        line = lines_of(CommonMetricPrinter(10), caplog)
    expected = (
        "eta: 0:00:02  iter: 4  total_loss: 2  loss_box: 1.235  [metric]x: 3  time: 0.5000  "
        "last_time: 0.5000  data_time: 0.2500  last_data_time: 0.2500  lr: 0.001"
    )
    assert expected in line
    assert "other" not in line
    assert storage.latest()["eta_seconds"] == (2.5, 4)


def test_the_log_line_of_a_loop_that_reports_little(caplog):
    with EventStorage(4) as storage:
        printer = CommonMetricPrinter(10)
        assert "iter: 4" in lines_of(printer, caplog)
        assert "eta" not in lines_of(printer, caplog)  # the same iteration again: no speed yet
        storage.step()
        assert "eta" in lines_of(printer, caplog)
        assert "lr: N/A" in lines_of(CommonMetricPrinter(), caplog)
        assert "eta" not in lines_of(CommonMetricPrinter(), caplog)
        storage.iter = 10
        assert lines_of(printer, caplog) == ""


def test_writers_must_write():
    with pytest.raises(NotImplementedError):
        EventWriter().write()
    EventWriter().close()
