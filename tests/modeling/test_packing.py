"""Packed detectors find what the deployed ones find, whoever wrote their networks."""

import copy

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.layers import PackedConv
from yolov7.layers.packed_conv import kernels_work
from yolov7.modeling import build_detector, pack_for_inference
from yolov7.modeling.reparameterization import (
    probe_detector,
    relative_difference,
    reparameterized_copy,
)

pytestmark = pytest.mark.skipif(not kernels_work(), reason="this PyTorch has no oneDNN")


def deployed(name, strides):
    """A detector of one of timm's networks, with statistics that folding must not lose."""
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE, cfg.MODEL.YOLO.CLASSES = "YOLOX", "cpu", 2
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.FREEZE_AT = "TimmBackbone", 0
    cfg.MODEL.TIMM.NAME, cfg.MODEL.NECK.NAME = name, "FPN"
    cfg.MODEL.NECK.IN_STRIDES, cfg.MODEL.NECK.CHANNELS = strides, 16
    cfg.MODEL.YOLO.WIDTH_MUL = 0.125
    torch.manual_seed(0)
    model = build_detector(cfg)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return reparameterized_copy(model)


def count(model, kind):
    return sum(type(module) is kind for module in model.modules())


@pytest.mark.parametrize(
    ("name", "relus"),
    [
        # One behind the sum of each residual block, which no convolution gives alone.
        ("resnet10t", 4),
        ("regnetx_002", 13),
        ("mobilenetv3_small_050", None),
        ("pvt_v2_b0", None),
    ],
)
def test_networks_of_timm(name, relus):
    model = deployed(name, [8, 16, 32])
    packed = pack_for_inference(copy.deepcopy(model))
    assert count(packed, nn.Conv2d) == 0 < count(packed, PackedConv)
    if relus is not None:
        assert count(packed, nn.ReLU) == relus < count(model, nn.ReLU)
    outputs = probe_detector(packed), probe_detector(model.double())
    assert relative_difference(*outputs) < 1e-3


def test_other_models_keep_their_activations():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()).eval()
    assert [type(module) for module in pack_for_inference(model)] == [PackedConv, nn.ReLU]
