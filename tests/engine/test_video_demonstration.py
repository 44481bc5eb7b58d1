"""Drawn videos: frames in are frames out, and every one has its line."""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolov7.d2 import Boxes, Instances
from yolov7.data.video_io import VideoReader
from yolov7.engine import demonstration
from yolov7.engine.class_list import ClassList
from yolov7.engine.demo_inputs import DemoInputs
from yolov7.engine.demonstration import run_demo
from yolov7.engine.window import Window
from yolov7.utils.errors import UserError, VideoError
from yolov7.utils.interrupt import stop_on_signals

COUNT = 10


class Predictor:
    """Finds one object, of which x tells how bright the picture is."""

    classes = ClassList(("cat",), (7,))

    def __init__(self, then=lambda: None):
        self.batches: list[int] = []
        self.then = then

    def __call__(self, images):
        self.batches.append(len(images))
        self.then()
        return [self._find(image) for image in images]

    @staticmethod
    def _find(image):
        x = round(image[-8:].mean() / 20)
        return Instances(
            image.shape[:2],
            pred_boxes=Boxes(torch.tensor([[x, 2.0, x + 9.0, 12.0]])),
            scores=torch.tensor([0.5]),
            pred_classes=torch.tensor([0]),
        )


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolov7"), "propagate", True)


def make(path: Path, codec="mp4v", size=(48, 64), count=COUNT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 12.5, size[::-1])
    for i in range(count):
        image = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        image[-16:] = 20 * i
        writer.write(image)
    writer.release()
    return path


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def frames(path: Path) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(read[1])
    return found


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_frames_in_are_frames_out_whatever_the_batch(tmp_path, batch_size):
    video, predictor = make(tmp_path / "in" / "a.mp4"), Predictor()
    report = run_demo(predictor, DemoInputs([], [video]), tmp_path / "out", batch_size=batch_size)
    assert sum(predictor.batches) == COUNT and max(predictor.batches) == min(batch_size, COUNT)
    assert lines(tmp_path / "out" / "a.jsonl") == [
        {
            "frame": i,
            "time": i / 12.5,
            "readable": True,
            "detections": [
                {"bbox": [i, 2.0, 9.0, 10.0], "score": 0.5, "category_id": 7,
                 "category_name": "cat"}
            ],
        }
        for i in range(COUNT)
    ]  # fmt: skip
    drawn = frames(tmp_path / "out" / "a.mp4")
    assert [image.shape for image in drawn] == [(48, 64, 3)] * COUNT
    for i, (new, old) in enumerate(zip(drawn, frames(video), strict=True)):
        assert round(new[-8:].mean() / 20) == i
        assert abs(new[2:12].astype(int) - old[2:12]).mean() > 5, "something is drawn"
    capture = cv2.VideoCapture(str(tmp_path / "out" / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    entry = {
        "file_name": str(video), "height": 48, "width": 64, "frame_rate": 12.5,
        "num_frames": COUNT, "num_declared": COUNT, "num_unreadable": 0, "num_detections": COUNT,
        "drawn": str(tmp_path / "out" / "a.mp4"), "detections": str(tmp_path / "out" / "a.jsonl"),
    }  # fmt: skip
    written = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert written == {"images": [], "videos": [entry]} and report.num_detections == COUNT
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "a.mp4", "a.jsonl", "detections.json",
    }  # fmt: skip


def test_pictures_and_videos_together(tmp_path):
    video = make(tmp_path / "in" / "a.avi", "MJPG")
    picture = tmp_path / "in" / "a.png"
    cv2.imwrite(str(picture), np.full((400, 330, 3), 60, np.uint8))
    report = run_demo(Predictor(), DemoInputs([picture], [video]), tmp_path / "out")
    assert len(report.images) == len(report.videos) == 1 and report.num_detections == 1 + COUNT
    assert len(frames(tmp_path / "out" / "a.avi.mp4")) == COUNT
    assert len(lines(tmp_path / "out" / "a.avi.jsonl")) == COUNT
    assert cv2.imread(str(tmp_path / "out" / "a.png")).shape == (400, 330, 3)


def test_a_broken_frame_is_counted_said_and_black(tmp_path, caplog):
    video = make(tmp_path / "in" / "a.mov", "MJPG")
    data = bytearray(video.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    data[starts[3] : starts[4]] = bytes(starts[4] - starts[3])
    video.write_bytes(data)
    predictor = Predictor()
    report = run_demo(predictor, DemoInputs([], [video]), tmp_path / "out", batch_size=4)
    assert predictor.batches == [3, 4, 2], "the black frame is not predicted"
    found = lines(tmp_path / "out" / "a.mov.jsonl")
    assert found[3] == {"frame": 3, "time": 3 / 12.5, "readable": False, "detections": []}
    assert [line["readable"] for line in found] == [i != 3 for i in range(COUNT)]
    drawn = frames(tmp_path / "out" / "a.mov.mp4")
    assert len(drawn) == COUNT and drawn[3].mean() < 5 < drawn[4].mean()
    assert report.videos[0]["num_unreadable"] == 1 and report.videos[0]["num_frames"] == COUNT
    assert "a.mov: 1 frames could not be decoded" in caplog.text


def test_missing_frames_are_said(tmp_path, caplog):
    video = make(tmp_path / "in" / "a.avi", "MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    (entry,) = run_demo(Predictor(), DemoInputs([], [video]), tmp_path / "out").videos
    missing = COUNT - entry["num_frames"]
    assert 1 <= missing < COUNT and entry["num_declared"] == COUNT
    assert f"declares {COUNT} frames, {missing} of which are not there" in caplog.text


def test_a_video_that_changes_its_size_is_one_that_can_be_skipped(tmp_path, monkeypatch):
    class Changing(VideoReader):
        def __iter__(self):
            for frame in super().__iter__():
                yield replace(frame, image=frame.image[:40]) if frame.index == 5 else frame

    monkeypatch.setattr(demonstration, "VideoReader", Changing)
    inputs = DemoInputs([], [make(tmp_path / "a.mp4")])
    with pytest.raises(VideoError, match=r"a\.mp4: frame 5 is 64x40 .*64x48.*--skip-bad"):
        run_demo(Predictor(), inputs, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bad_video_stops_or_is_skipped(tmp_path, caplog):
    good, bad = make(tmp_path / "in" / "a.mp4"), tmp_path / "in" / "b.mp4"
    bad.write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"b\.mp4.*--skip-bad"):
        run_demo(Predictor(), DemoInputs([], [bad]), tmp_path / "out")
    report = run_demo(Predictor(), DemoInputs([], [bad, good]), tmp_path / "out", skip_bad=True)
    assert len(report.videos) == len(report.skipped) == 1 and "b.mp4" in report.skipped[0]
    assert not (tmp_path / "out" / "b.mp4").exists() and "b.mp4" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_video_in_good_order(tmp_path, number):
    inputs = DemoInputs([], [make(tmp_path / "in" / "a.mp4"), make(tmp_path / "in" / "b.mp4")])
    predictor = Predictor()
    predictor.then = lambda: len(predictor.batches) == 2 and os.kill(os.getpid(), number)
    with stop_on_signals() as stop:
        run_demo(predictor, inputs, tmp_path / "out", batch_size=3, stop=stop)
    assert stop.signal_number == number and predictor.batches == [3, 3]
    assert len(lines(tmp_path / "out" / "a.jsonl")) == len(frames(tmp_path / "out" / "a.mp4")) == 6
    (entry,) = json.loads((tmp_path / "out" / "detections.json").read_text())["videos"]
    assert entry["num_frames"] == 6 and entry["num_declared"] == COUNT
    assert len(list((tmp_path / "out").iterdir())) == 3, "nothing half-written, nothing of b"


def test_an_error_in_the_middle_leaves_no_half_files(tmp_path):
    predictor = Predictor()

    def fail():
        if len(predictor.batches) == 2:
            raise RuntimeError("out of memory")

    predictor.then = fail
    with pytest.raises(RuntimeError):
        run_demo(predictor, DemoInputs([], [make(tmp_path / "in" / "a.mp4")]), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_window_shows_every_frame_until_it_is_closed(tmp_path, monkeypatch):
    class Screen:
        shown = 0

        def __init__(self, title):
            pass

        def show(self, image):
            Screen.shown += 1
            return Screen.shown < 4

        def close(self):
            Screen.closed = True

    monkeypatch.setattr(demonstration, "Window", Screen)
    video = make(tmp_path / "in" / "a.mp4")
    run_demo(Predictor(), DemoInputs([], [video]), tmp_path / "out", show=True, batch_size=2)
    assert Screen.shown == len(lines(tmp_path / "out" / "a.jsonl")) == 4 and Screen.closed


def test_an_opencv_without_windows_says_what_to_do(monkeypatch):
    def refuse(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "namedWindow", refuse)
    with pytest.raises(UserError, match=r"--show needs .*opencv-python-headless"):
        Window("demo")
