"""The console command runs the scripts, each under its verb."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from yolov7.command import VERBS, main

ROOT = Path(__file__).resolve().parents[1]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capsys.readouterr()
    return end.value.code or 0, printed.out, printed.err


@pytest.fixture(autouse=True)
def keep_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["yolov7"])


def test_every_tool_is_a_verb():
    scripts = {script[0] for script in VERBS.values()}
    tools = {file.relative_to(ROOT).as_posix() for file in ROOT.glob("tools/*.py")}
    assert {"train_net.py", "demo.py", "datasets/digits.py", *tools} == scripts


def test_help_lists_the_verbs_with_the_first_line_of_each_script(capsys):
    for arguments in ((), ("--help",)):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        for verb, (script, *_) in VERBS.items():
            first = (ROOT / script).read_text().partition('"""')[2].splitlines()[0]
            line = next(line for line in out.splitlines() if line.split()[:1] == [verb])
            assert first.removesuffix('"""') in line and script in line


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_its_script(verb, capsys, monkeypatch):
    script, *flags = VERBS[verb]
    code, out, _ = run(capsys, verb, "--help")
    monkeypatch.setattr(sys, "argv", [script, *flags, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    usage, _, text = out.partition("\n\n")
    assert code == 0 and usage.startswith(f"usage: yolov7 {verb} [-h]")
    assert text == capsys.readouterr().out.partition("\n\n")[2] and len(text) > 200


def test_arguments_output_and_exit_code_pass_through(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(
        capsys, "analyze", "--config-file", "coco/yolox_nano", "--json", "MODEL.YOLO.CLASSES", "7"
    )
    assert code == 0 and json.loads(out)["parameters"] < 912_159, "fewer classes than COCO's 80"
    code, _, err = run(capsys, "eval", "--config-file", "digits/yolox_nano", "--num-gpus", "0")
    assert code == 1 and err.startswith("error: MODEL.WEIGHTS is empty: there is nothing to eval")


def test_unknown_verbs_are_answered_with_the_known_ones(capsys):
    code, _, err = run(capsys, "trian")
    assert code == 2 and "Did you mean 'train'?" in err
