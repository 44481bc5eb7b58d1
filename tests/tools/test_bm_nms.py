"""The parts of `benchmarks/bm_nms.py` on a small case."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("bm_nms")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("by_object", [True, False])
def test_a_case_is_crowded_and_both_programs_agree(benchmark, by_object):
    case = benchmark.crowded_case(1, boxes=300, classes=5, objects=4, by_object=by_object)
    assert [tuple(part.shape) for part in case] == [(300, 4), (300,), (300,)]
    assert len(case[2].unique()) <= 4 if by_object else len(case[2].unique()) == 5
    assert benchmark.agreement(case, 0.65) == {"normal": 0, "cluster": 0}
    counts = {
        name: len(function().index)
        for name, function in list(benchmark.alternatives(case, 0.65, most=20).items())[1:]
    }
    assert set(counts.values()) <= set(range(1, 21)) and len(counts) == 7
