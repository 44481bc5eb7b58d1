"""The embedded branch does what detectron2 does, name by name, in two processes."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yolov7 import d2

CASES = Path(__file__).with_name("parity")


def run_cases(branch: str) -> dict[str, Any]:
    environment = {**os.environ, "YOLOV7_D2": branch, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(CASES / "run.py")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def differences(left: Any, right: Any, where: str) -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        pairs = [(left[key], right[key], f"{where}.{key}") for key in left]
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(left, right, strict=True))]
    elif isinstance(left, float) and isinstance(right, float):
        near = math.isclose(left, right, rel_tol=1e-5, abs_tol=1e-6)
        return [] if near or (left != left and right != right) else [f"{where}: {left} {right}"]
    else:
        return [] if left == right else [f"{where}: {left!r} != {right!r}"]
    return [line for a, b, place in pairs for line in differences(a, b, place)]


def test_the_cases_touch_every_name():
    source = "".join(path.read_text(encoding="utf-8") for path in CASES.glob("*_cases.py"))
    assert [name for name in d2.__all__ if f"d2.{name}" not in source] == []


@pytest.mark.slow
def test_the_cases_run_in_the_embedded_branch():
    assert run_cases("embedded")["branch"] == "embedded"


@pytest.mark.detectron2
@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None, reason="detectron2 is not installed"
)
def test_both_branches_agree():
    real, embedded = run_cases("detectron2"), run_cases("embedded")
    assert real["branch"] == "detectron2"
    found = [
        line
        for case in real.keys() - {"branch"}
        for line in differences(real[case], embedded[case], case)
    ]
    assert found == []
