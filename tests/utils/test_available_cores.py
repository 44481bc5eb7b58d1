"""How many cores a process may use."""

from __future__ import annotations

import os

import pytest

from yolov7.utils.environment import available_cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 1), ("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8),
     ("9900000 100000", 8), ("nonsense", 8), (None, 8)],
)  # fmt: skip
def test_the_containers_quota_counts(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cores(str(tmp_path / "cpu.max")) == expected
