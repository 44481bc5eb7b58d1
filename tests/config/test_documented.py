"""The configs that the documents print can be copied into a file and used."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from yolov7.config import load_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("document", "first_line", "classes"),
    [
        ("docs/getting_started.md", "       _BASE_: [", 4),
        ("README.md", "    DATASETS:", 4),
        ("datasets/README.md", "DATASETS:", 3),
    ],
)
def test_own_data(document, first_line, classes, tmp_path, monkeypatch):
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(first_line))
    indent = " " * (len(first_line) - len(first_line.lstrip()))
    last = next(
        n
        for n in range(first, len(lines))
        if not lines[n].startswith(indent) or lines[n] in ("", "```")
    )
    (tmp_path / "my.yaml").write_text(textwrap.dedent("\n".join(lines[first:last])))
    monkeypatch.chdir(tmp_path)
    cfg = load_config("my.yaml")
    assert [entry["NAME"] for entry in cfg.DATASETS.REGISTER] == ["my_train", "my_val"]
    assert cfg.DATASETS.TRAIN == ("my_train",) and cfg.DATASETS.TEST == ("my_val",)
    assert cfg.MODEL.YOLO.CLASSES == classes
