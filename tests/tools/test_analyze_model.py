import json
import runpy
import sys
from pathlib import Path

import pytest

from yolov7.analysis import ModelStatistics, PartStatistics

ROOT = Path(__file__).parents[2]


def run(monkeypatch, capsys, *arguments):
    """Run the script in this process; its exit code, what it printed and its errors."""
    monkeypatch.setattr(sys, "argv", ["analyze_model.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / "analyze_model.py"), run_name="__main__")
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def test_json(monkeypatch, capsys):
    code, out, _ = run(
        monkeypatch, capsys, "--config-file", ROOT / "configs/coco/yolox_nano.yaml", "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert {key: found[key] for key in list(found)[:5]} == {
        "parameters": 912_159,
        "parameters_deploy": 904_463,
        "gflops": 1.045106816,
        "gflops_deploy": 1.045106816,
        "input_size": [416, 416],
    }
    assert [part["name"] for part in found["parts"]] == ["backbone", "neck", "head"]


def test_table():
    script = runpy.run_path(str(ROOT / "tools" / "analyze_model.py"))
    part = PartStatistics("neck", 1200, 1100, 1.5, 1.25)
    lines = script["format_table"](ModelStatistics(1200, 1100, 1.5, 1.25, (160, 320), (part,)))
    assert [line.split() for line in lines.splitlines()[1:]] == [
        ["part", "parameters", "deploy", "GFLOPs", "deploy"],
        ["neck", "1,200", "1,100", "1.5000", "1.2500"],
        ["all", "1,200", "1,100", "1.5000", "1.2500"],
    ]
    assert lines.startswith("one image of 160 x 320 (height x width)")


@pytest.mark.slow
def test_family(monkeypatch, capsys):
    """The rows of the models, here without those that take seconds to count."""
    script = ["coco/yolov7_tiny", "coco/yolox_nano"]
    monkeypatch.setattr("yolov7.analysis.family_configs", lambda family: script)
    code, out, _ = run(monkeypatch, capsys, "--family", "yolov7")
    assert code == 0
    assert out.splitlines() == [
        "| model | input | parameters | deployed | GFLOPs | deployed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| yolox_nano | 416x416 | 912,159 | 904,463 | 1.0 | 1.0 |",
        "| yolov7_tiny | 640x640 | 6,228,762 | 6,219,709 | 13.7 | 13.7 |",
    ]
    code, out, _ = run(
        monkeypatch,
        capsys,
        *("--family", "yolov7", "--json", "--repeats", "1", "INPUT.INPUT_SIZE", "[64, 64]"),
        *("MODEL.DEVICE", "cpu"),
    )
    assert code == 0
    assert [member["name"] for member in json.loads(out)] == ["yolov7_tiny", "yolox_nano"]
    assert all(member["milliseconds_deploy"] > 0 for member in json.loads(out))
    assert json.loads(out)[0]["statistics"]["input_size"] == [64, 64]
    arguments = ["--repeats", "1", "MODEL.DEVICE", "cpu", "INPUT.INPUT_SIZE", "[64, 64]"]
    code, out, _ = run(monkeypatch, capsys, "--family", "yolov7", *arguments)
    assert code == 0
    title, *_, machine = out.splitlines()
    assert title.endswith("| ms, CPU | deployed |")
    assert machine.startswith("CPU: ") and "PyTorch" in machine


def test_mistakes_end_without_a_stack_trace(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "--config-file", "no/such.yaml")
    assert code == 1
    assert err.startswith("error: ")
    assert "no/such.yaml" in err
    assert "Traceback" not in err
