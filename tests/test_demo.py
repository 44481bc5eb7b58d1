"""demo.py: from files to drawn pictures and detections.json."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolov7.checkpoint import save_checkpoint
from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances
from yolov7.engine.class_list import ClassList
from yolov7.engine.demo_inputs import DemoInputs, find_inputs
from yolov7.engine.demonstration import run_demo
from yolov7.modeling import build_detector
from yolov7.utils.cli import run_command
from yolov7.utils.errors import ImageError, UserError

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "digits" / "yolox_nano.yaml"
TINY = ["MODEL.DEVICE", "cpu", "MODEL.YOLO.WIDTH_MUL", "0.125", "INPUT.INPUT_SIZE", "[64, 64]"]
BOX = [1.25, 2.5, 11.75, 12.125]


class StubPredictor:
    """Finds one object, of class 1, at a fixed place in every picture that is not black."""

    classes = ClassList(("cat", "dog"), (10, 20))

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        self.batches.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image):
        number = int(image.any())
        found = Instances(image.shape[:2])
        found.pred_boxes = Boxes(torch.tensor([BOX] * number).reshape(-1, 4))
        found.scores = torch.tensor([0.123456789] * number)
        found.pred_classes = torch.tensor([1] * number)
        return found


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolov7"), "propagate", True)


def write(path: Path, *, value=90, size=(30, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), value, dtype=np.uint8))
    return path


def demo_module():
    spec = importlib.util.spec_from_file_location("demo", ROOT / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_and_json(tmp_path):
    files = [write(tmp_path / "in" / "a.png"), write(tmp_path / "in" / "b.png", value=0)]
    report = run_demo(StubPredictor(), DemoInputs(files), tmp_path / "new" / "out")
    written = json.loads((tmp_path / "new" / "out" / "detections.json").read_text())
    score = torch.tensor(0.123456789).item()
    assert written == {
        "images": [
            {
                "file_name": str(files[0]),
                "height": 30,
                "width": 40,
                "detections": [
                    {
                        "bbox": [1.25, 2.5, 10.5, 9.625],
                        "score": score,
                        "category_id": 20,
                        "category_name": "dog",
                    }
                ],
            },
            {"file_name": str(files[1]), "height": 30, "width": 40, "detections": []},
        ]
    }
    assert report.num_detections == 1 and not report.skipped
    drawn = cv2.imread(str(tmp_path / "new" / "out" / "a.png"))
    assert drawn.shape == (30 * 11, 40 * 11, 3), "readable: the shorter side is 320 or more"
    assert (drawn != 90).any()
    assert not cv2.imread(str(tmp_path / "new" / "out" / "b.png")).any(), "nothing to draw"


def test_batches_change_nothing_but_their_size(tmp_path):
    files = [write(tmp_path / "in" / f"{i}.png", value=9 * i) for i in range(5)]
    one, three = StubPredictor(), StubPredictor()
    run_demo(one, DemoInputs(files), tmp_path / "one", batch_size=1)
    run_demo(three, DemoInputs(files), tmp_path / "three", batch_size=3)
    assert (one.batches, three.batches) == ([1] * 5, [3, 2])
    texts = [(tmp_path / name / "detections.json").read_text() for name in ("one", "three")]
    assert texts[0] == texts[1]
    with pytest.raises(UserError, match="at least 1"):
        run_demo(one, DemoInputs(files), tmp_path / "one", batch_size=0)


def test_grey_alpha_and_16_bit_files(tmp_path):
    (tmp_path / "in").mkdir()
    odd = {
        "grey.png": np.full((20, 30), 50, np.uint8),
        "alpha.png": np.full((20, 30, 4), 50, np.uint8),
        "deep.png": np.full((20, 30, 3), 50_000, np.uint16),
    }
    for name, image in odd.items():
        assert cv2.imwrite(str(tmp_path / "in" / name), image)
    report = run_demo(StubPredictor(), find_inputs([str(tmp_path / "in")]), tmp_path / "out")
    assert len(report.images) == 3 and report.num_detections == 3


@pytest.mark.parametrize("name", ["a#1=b.png", "with space.jpg", "Bär 画像.png", "a[1].png"])
def test_odd_names_stay_as_they_are(tmp_path, name):
    file = tmp_path / "in" / name
    file.parent.mkdir()
    file.write_bytes(cv2.imencode(file.suffix, np.full((20, 30, 3), 90, np.uint8))[1].tobytes())
    (image,) = run_demo(StubPredictor(), find_inputs([str(file)]), tmp_path / "out").images
    assert image["file_name"] == str(file)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name, "detections.json"}


def test_unreadable_picture_is_an_error_that_names_it(tmp_path):
    good, bad = write(tmp_path / "in" / "a.png"), tmp_path / "in" / "b.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"b\.png.*--skip-bad"):
        run_demo(StubPredictor(), DemoInputs([good, bad]), tmp_path / "out")
    assert not (tmp_path / "out" / "detections.json").exists()


def test_skipped_pictures_are_reported(tmp_path, caplog):
    good, bad = write(tmp_path / "in" / "a.png"), tmp_path / "in" / "b.png"
    bad.write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        report = run_demo(StubPredictor(), DemoInputs([bad, good]), tmp_path / "out", skip_bad=True)
    assert len(report.images) == len(report.skipped) == 1
    assert "b.png" in report.skipped[0] and "b.png" in caplog.text
    with pytest.raises(ImageError, match="None of 1 inputs could be read"):
        run_demo(StubPredictor(), DemoInputs([bad]), tmp_path / "out", skip_bad=True)


def test_equal_names_in_two_folders_do_not_overwrite_each_other(tmp_path):
    write(tmp_path / "in" / "one" / "a.png", value=10)
    write(tmp_path / "in" / "two" / "a.png", value=200)
    inputs = find_inputs([str(tmp_path / "in" / "**" / "*.png")])
    run_demo(StubPredictor(), inputs, tmp_path / "out")
    means = [cv2.imread(str(tmp_path / "out" / n / "a.png")).mean() for n in ("one", "two")]
    assert means[0] < 100 < means[1]


def test_inputs_are_not_overwritten(tmp_path):
    file = write(tmp_path / "a.png")
    with pytest.raises(UserError, match="would be overwritten"):
        run_demo(StubPredictor(), DemoInputs([file]), tmp_path)
    assert (cv2.imread(str(file)) == 90).all()


def test_output_that_cannot_be_written_fails_before_the_work(tmp_path):
    (tmp_path / "out").write_text("a file")
    predictor = StubPredictor()
    with pytest.raises(UserError, match=r"Cannot write into the output folder .*out"):
        run_demo(predictor, DemoInputs([write(tmp_path / "a.png")]), tmp_path / "out")
    assert predictor.batches == []


def test_the_command_from_config_to_json(tmp_path):
    """A checkpoint that holds its classes is enough: no data set is on disk."""
    torch.manual_seed(0)
    model = build_detector(load_config(CONFIG, TINY))
    classes = {"names": [f"digit {i}" for i in range(10)], "category_ids": list(range(5, 15))}
    save_checkpoint(tmp_path / "m.pth", {"model": model.state_dict(), "classes": classes})
    write(tmp_path / "in" / "a.png", size=(50, 80))
    arguments = ["--config-file", str(CONFIG), "--input", str(tmp_path / "in"), "--output",
                 str(tmp_path / "out"), "--confidence-threshold", "0", "--opts", *TINY,
                 "MODEL.WEIGHTS", str(tmp_path / "m.pth")]  # fmt: skip
    try:
        assert demo_module().main(arguments) == 0
    finally:
        logging.getLogger("yolov7").handlers.clear()
    (image,) = json.loads((tmp_path / "out" / "detections.json").read_text())["images"]
    assert (image["height"], image["width"]) == (50, 80) and image["detections"]
    for found in image["detections"]:
        assert found["category_name"] == f"digit {found['category_id'] - 5}"
        x, y, w, h = found["bbox"]
        assert x >= 0 and y >= 0 and x + w <= 80.001 and y + h <= 50.001
    assert (tmp_path / "out" / "a.png").is_file()


def test_help_teaches():
    text = demo_module().build_parser().format_help()
    assert "MODEL.WEIGHTS" in text and "detections.json" in text and "--skip-bad" in text


def test_errors_have_an_exit_code_and_no_stack_trace(tmp_path, monkeypatch, capsys):
    pattern = str(tmp_path / "*.jpg")
    command = ["demo.py", "--config-file", str(CONFIG), "--input", pattern, "--output", "out"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as end:
        run_command(demo_module().main)
    assert end.value.code == 1
    assert pattern in capsys.readouterr().err


def test_something_must_be_named(capsys):
    with pytest.raises(SystemExit) as end:
        demo_module().main(["--config-file", str(CONFIG), "--output", "out"])
    assert end.value.code == 2 and "--input or --webcam is needed" in capsys.readouterr().err


def test_a_camera_that_is_not_there(tmp_path, monkeypatch):
    demo = demo_module()
    monkeypatch.setattr(demo.Predictor, "from_config", lambda *_, **__: StubPredictor())
    try:
        for flags in (["--webcam", "98"], ["--input", "98"]):
            with pytest.raises(UserError, match="Cannot open camera 98"):
                demo.main(["--config-file", str(CONFIG), *flags, "--output", str(tmp_path)])
    finally:
        logging.getLogger("yolov7").handlers.clear()


def test_a_signal_gives_its_exit_code(tmp_path, monkeypatch, caplog):
    files = [write(tmp_path / "in" / f"{i}.png") for i in range(3)]
    demo, predictor = demo_module(), StubPredictor()
    find = predictor._find

    def find_and_stop(image):
        os.kill(os.getpid(), signal.SIGINT)
        return find(image)

    predictor._find = find_and_stop
    monkeypatch.setattr(demo.Predictor, "from_config", lambda *_, **__: predictor)
    arguments = ["--config-file", str(CONFIG), "--input", *map(str, files)]
    try:
        assert demo.main([*arguments, "--output", str(tmp_path / "out")]) == 130
    finally:
        logging.getLogger("yolov7").handlers.clear()
    written = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [image["file_name"] for image in written["images"]] == [str(files[0])]
