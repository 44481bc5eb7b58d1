"""Batch norm over the batch of all ranks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from yolov7.engine import training_model
from yolov7.modeling.backbones import TimmBackbone

SCRIPT = Path(__file__).with_name("sync_batch_norm_ranks.py")


def run_ranks(world_size, path, device):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(path), device],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors
    return torch.load(path, weights_only=True)


@pytest.mark.gpu
def test_two_ranks_have_the_statistics_and_gradients_of_one(tmp_path):
    one = run_ranks(1, tmp_path / "1.pth", "cuda")
    two = run_ranks(2, tmp_path / "2.pth", "cuda")
    assert one["synchronised"] == 0
    assert two["synchronised"] > 10
    for kind in ("gradients", "buffers"):
        assert one[kind].keys() == two[kind].keys()
        for name, value in one[kind].items():
            torch.testing.assert_close(two[kind][name], value, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
def test_on_a_cpu_it_is_refused_and_one_process_needs_none(tmp_path):
    assert run_ranks(1, tmp_path / "1.pth", "cpu")["synchronised"] == 0
    with pytest.raises(AssertionError, match="SYNC_BATCH_NORM works on CUDA only"):
        run_ranks(2, tmp_path / "2.pth", "cpu")


def test_the_activations_of_timms_norms_survive_the_conversion(cfg, monkeypatch):
    model = TimmBackbone(name="mobilenetv3_small_050", strides=(8,)).eval()
    images = torch.randn(1, 3, 64, 64)
    expected = model(images)["c3"]
    monkeypatch.setattr(training_model, "get_world_size", lambda: 2)
    monkeypatch.setattr(training_model, "build_detector", lambda cfg: model)
    cfg.MODEL.SYNC_BATCH_NORM, cfg.MODEL.DEVICE = True, "cuda"
    converted = training_model.build_training_model(cfg)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())
    assert torch.allclose(converted(images)["c3"], expected, atol=1e-6)
