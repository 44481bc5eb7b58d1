"""The parts of `benchmarks/bm_yolov7_peer.py` that do not need the authors' program."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from yolov7.analysis import INFERENCE_VARIANTS
from yolov7.config import load_config
from yolov7.modeling import build_detector

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("bm_yolov7_peer")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_differences_of_centres_and_corners(benchmark):
    theirs = torch.tensor([[[50.0, 40.0, 20.0, 10.0, 0.5, 0.25]]])
    ours = torch.tensor([[[40.0, 35.0, 60.0, 45.5, 0.5, 0.5]]])
    found = benchmark.difference(benchmark.with_corners(theirs), ours)
    assert found == {"pixels": 0.5, "scores": 0.25}
    benchmark.check({"ours": {"pixels": 0.1, "scores": 1e-4}, "bf16": {"pixels": 9, "scores": 1}})
    for found in ({"pixels": 1.5, "scores": 0.0}, {"pixels": 0.0, "scores": 1e-2}):
        with pytest.raises(AssertionError, match="ours"):
            benchmark.check({"ours": found})


def test_statistics_are_those_of_the_images(benchmark):
    """After it, maps of these very images have mean 0 and variance 1."""
    peer = importlib.import_module("peer_yolov7")
    norm = nn.BatchNorm2d(3, momentum=0.03)
    images = 5 + 2 * torch.randn(2, 3, 40, 40)
    model = nn.Sequential(norm)
    peer.give_statistics(model, images)
    found = model(images)
    assert (norm.momentum, model.training) == (0.03, False)
    assert torch.allclose(found.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(found.var((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_our_forms_give_all_predictions_and_agree(benchmark, monkeypatch):
    """Weights are as they were drawn: the converter has tests of its own."""
    monkeypatch.setattr(benchmark, "convert_yolov7", lambda state, shapes: state)
    cfg = load_config(benchmark.CONFIGS / "yolov7_tiny.yaml")
    cfg.MODEL.DEVICE = "cpu"
    theirs = build_detector(cfg)
    model = benchmark.our_model("yolov7_tiny", theirs)
    images = torch.rand(1, 3, 64, 64)
    found = {
        name: benchmark.our_finder(model, INFERENCE_VARIANTS[name])(images)
        for name in benchmark.OURS.values()
    }
    assert found["eager"].shape == (1, 3 * (64 + 16 + 4), 85)
    assert bool((found["eager"][..., 4:] > 0).all() and (found["eager"][..., 4:] < 1).all())
    for name, predictions in found.items():
        assert torch.allclose(predictions, found["eager"], atol=1e-3), name
