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


def test_mistakes_end_without_a_stack_trace(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "--config-file", "no/such.yaml")
    assert code == 1
    assert err.startswith("error: ")
    assert "no/such.yaml" in err
    assert "Traceback" not in err
