"""Our yamls as detectron2's own reader sees them; in the other branch, its stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolov7.config import get_config, load_config

ROOT = Path(__file__).parents[3]
YAMLS = sorted(file for file in (ROOT / "configs").rglob("*.yaml") if "_base_" not in file.parts)


@pytest.mark.parametrize("file", YAMLS, ids=lambda file: str(file.relative_to(ROOT)))
def test_both_readers_give_the_same(file):
    cfg = get_config()
    cfg.merge_from_file(str(file))
    assert cfg == load_config(file)
