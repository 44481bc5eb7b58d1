import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from yolov7.checkpoint import load_weights
from yolov7.config import load_config
from yolov7.modeling import build_detector

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "coco" / "yolox_nano.yaml"


def run(monkeypatch, capsys, *arguments):
    """Run the script in this process; its exit code, what it printed and its errors."""
    monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / "convert_weights.py"), run_name="__main__")
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


@pytest.fixture
def authors_file(tmp_path):
    shapes = json.loads((ROOT / "tests/reference/yolox_keys.json").read_text())["nano"]
    path = tmp_path / "yolox_nano.pth"
    torch.save({"model": {key: torch.full(shape, 0.25) for key, shape in shapes.items()}}, path)
    return path


def test_converted_file_loads_completely(monkeypatch, capsys, tmp_path, authors_file):
    output = tmp_path / "weights" / "ours.pth"
    code, out, err = run(
        monkeypatch,
        capsys,
        *("--source", "yolox", "--config-file", CONFIG),
        *("--input", authors_file, "--output", output),
    )
    assert (code, err) == (0, "")
    assert "642 entries" in out
    model = build_detector(load_config(CONFIG, ["MODEL.DEVICE", "cpu"]))
    load_weights(model, output).require_complete(output)
    assert all((parameter == 0.25).all() for parameter in model.parameters())


def test_weights_of_another_class_count(monkeypatch, capsys, tmp_path, authors_file):
    output = tmp_path / "ours.pth"
    code, _, err = run(
        monkeypatch,
        capsys,
        *("--source", "yolox", "--config-file", CONFIG),
        *("--input", authors_file, "--output", output),
        *("MODEL.YOLO.CLASSES", "20"),
    )
    assert code == 1
    assert "with 80 classes; the config describes YOLOX-nano" in err
    assert not output.exists()


def test_unknown_source(monkeypatch, capsys, tmp_path):
    code, _, err = run(
        monkeypatch,
        capsys,
        *("--source", "yolov9", "--config-file", CONFIG, "--input", "a", "--output", "b"),
    )
    assert code == 1
    assert "there is no converter 'yolov9'" in err


def test_the_authors_yolov7(monkeypatch, capsys, tmp_path):
    """A file of deployment, in half precision, with anchors that are not the published ones."""
    path = ROOT / "tests" / "reference" / "yolov7_weights.py"
    shapes = runpy.run_path(str(path))["state_shapes"]("yolov7-tiny", deploy=True)
    state = {name: torch.full(shape, 0.25, dtype=torch.float16) for name, shape in shapes.items()}
    torch.save({"epoch": -1, "model": state, "optimizer": None}, tmp_path / "yolov7-tiny.pt")
    config, output = ROOT / "configs" / "coco" / "yolov7_tiny.yaml", tmp_path / "ours.pth"
    code, out, _ = run(
        monkeypatch,
        capsys,
        *("--source", "yolov7", "--config-file", config),
        *("--input", tmp_path / "yolov7-tiny.pt", "--output", output),
    )
    assert code == 0
    assert "342 entries" in out
    model = build_detector(load_config(config, ["MODEL.DEVICE", "cpu"]))
    load_weights(model, output).require_complete(output)
    values = {name: value for name, value in model.named_parameters() if "implicit" not in name}
    assert all((value == 0.25).all() for value in values.values())
