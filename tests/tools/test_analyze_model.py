import json
import runpy
import sys
from pathlib import Path

import pytest

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


def test_table_with_overrides(monkeypatch, capsys):
    code, out, _ = run(
        monkeypatch,
        capsys,
        *("--config-file", ROOT / "configs/coco/yolox_nano.yaml"),
        *("MODEL.YOLO.CLASSES", "10", "INPUT.INPUT_SIZE", "[160, 320]"),
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "one image of 160 x 320 (height x width)"
    assert lines[1].split() == ["part", "parameters", "deploy", "GFLOPs", "deploy"]
    assert lines[-1].split()[:2] == ["all", f"{912_159 - 70 * 3 * 65:,}"]


def test_mistakes_end_without_a_stack_trace(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "--config-file", "no/such.yaml")
    assert code == 1
    assert err.startswith("error: ")
    assert "no/such.yaml" in err
    assert "Traceback" not in err
