import runpy
import sys
from pathlib import Path

import pytest

from yolov7 import analysis
from yolov7.analysis import Cost
from yolov7.utils.errors import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "model_matrix.py"


@pytest.fixture
def run(monkeypatch):
    """Run the tool on measurements that are made up; returns what it has asked for."""

    def start(*arguments, expected_code=0):
        asked = []

        def measure(backbones, heads, *, repeats, report):
            asked.append((backbones, heads, repeats))
            report("something")
            time = 7.0 if repeats else None
            return {(b, "N", h): Cost(1_000_000, 2.0, time) for h in heads for b in backbones}

        monkeypatch.setattr(analysis, "measure_matrix", measure)
        monkeypatch.setattr(sys, "argv", ["model_matrix.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        assert stop.value.code == expected_code
        return asked

    return start


def test_prints_the_tables_that_are_asked_for(run, capsys):
    assert run("--backbones", "resnet18", "--heads", "AnchorHead") == [
        (["resnet18"], ["AnchorHead"], 0)
    ]
    out = capsys.readouterr().out
    assert out == "### AnchorHead\n|  | N |\n| --- | ---: |\n| resnet18 | 1.00 / 2.0 |\n"


def test_writes_between_the_marks_and_names_the_machine(run, tmp_path, capsys):
    script = runpy.run_path(str(SCRIPT))
    file = tmp_path / "models.md"
    file.write_text(f"before\n{script['BEGIN']}\nold\n{script['END']}\nafter\n")
    run("--heads", "AnchorHead", "--repeats", 3, "--write", file)
    text = file.read_text()
    assert text.startswith(f"before\n{script['BEGIN']}\n### AnchorHead\n")
    assert text.endswith(f"\n{script['END']}\nafter\n")
    assert "old" not in text
    assert "| resnet50 | 1.00 / 2.0 / 7 |" in text
    assert "CPU: " in text and "PyTorch" in text and "medians of 3" in text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["", "<!-- end of what it writes -->"])
def test_a_file_without_the_marks_is_refused_before_anything_is_measured(text, tmp_path):
    script = runpy.run_path(str(SCRIPT))
    with pytest.raises(UserError, match=r"models\.md: expected the lines"):
        script["replace_tables"](text, "tables", tmp_path / "models.md")


def test_a_file_that_cannot_be_read_is_named(run, tmp_path, capsys):
    run("--write", tmp_path / "nothing.md", expected_code=1)
    err = capsys.readouterr().err
    assert err.startswith("error: --write: cannot read ") and "nothing.md: No such file" in err


def test_unknown_names_are_answered_with_the_nearest(run, capsys):
    run("--backbones", "resnet51", expected_code=1)
    assert "resnet50" in capsys.readouterr().err
