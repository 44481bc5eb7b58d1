"""The wheel has the scripts and configs of the repository, and works away from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "train_net.py", "demo.py")
FOLDERS = ("yolov7", "configs", "tools", "datasets")


@pytest.mark.slow
def test_the_wheel_works_without_the_repository(tmp_path: Path) -> None:
    source, installed, elsewhere = (tmp_path / name for name in ("source", "site", "elsewhere"))
    source.mkdir()
    elsewhere.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        only_code = shutil.ignore_patterns("__pycache__", "*.jpg", "*.json", "*.pth")
        shutil.copytree(ROOT / name, source / name, ignore=only_code)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(source.glob("dist/*.whl"))) as wheel:
        wheel.extractall(installed)

    def files(folder: Path, pattern: str) -> set[str]:
        return {file.relative_to(folder).as_posix() for file in folder.glob(pattern)}

    resources = installed / "yolov7" / "resources"
    for pattern in ("configs/**/*.*", "tools/*.py", "datasets/*.py"):
        assert files(resources, pattern) == files(ROOT, pattern) != set()
    assert files(resources, "*.py") == {"demo.py", "train_net.py"}
    assert files(installed / "yolov7", "[!r]*/**/*.py") == files(ROOT / "yolov7", "[!r]*/**/*.py")

    command = [sys.executable, "-m", "yolov7", "analyze", "--config-file", "digits/yolox_nano"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(
        [*command, "--json"], cwd=elsewhere, env=environment, check=True, capture_output=True
    )
    assert json.loads(found.stdout)["input_size"] == [128, 128]
