import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import NORMS
from yolov7.modeling import build_neck
from yolov7.modeling.necks import Projection
from yolov7.utils.errors import ConfigError

SHAPES = {
    "c3": ShapeSpec(channels=2, stride=8),
    "c4": ShapeSpec(channels=3, stride=16),
    "c5": ShapeSpec(channels=4, stride=32),
}


def make_features():
    return {name: torch.randn(2, spec.channels, 6, 5) for name, spec in SHAPES.items()}


def test_projects_one_map():
    neck = Projection(input_shape=SHAPES, in_strides=[32], channels=6)
    assert neck.output_shape() == {"p5": ShapeSpec(channels=6, stride=32)}
    with torch.no_grad():
        neck.conv.weight.zero_()
        neck.conv.weight[1, 2] = 10.0
        neck.conv.bias.fill_(0.5)
    features = make_features()
    (found,) = neck(features).values()
    assert torch.allclose(found[:, 1], 10 * features["c5"][:, 2] + 0.5)
    assert (found[:, [0, 2, 3, 4, 5]] == 0.5).all()


def test_passes_finer_maps_on():
    neck = Projection(input_shape=SHAPES, in_strides=[32, 8, 16], channels=6)
    features = make_features()
    found = neck(features)
    assert list(found) == list(neck.output_shape()) == ["p3", "p4", "p5"]
    assert found["p3"] is features["c3"] and found["p4"] is features["c4"]
    assert found["p5"].shape == (2, 6, 6, 5)
    assert features["c5"].shape[1] == 4


def test_a_norm_of_groups():
    neck = Projection(input_shape=SHAPES, in_strides=[32], channels=64, norm=NORMS["GN"])
    (found,) = neck(make_features()).values()
    groups = found.unflatten(1, (32, 2)).flatten(2)
    assert groups.mean(dim=2).abs().max() < 1e-5
    assert groups.var(dim=2, correction=0).mean().item() == pytest.approx(1, abs=1e-3)


def test_groups_that_do_not_divide_the_channels():
    with pytest.raises(ConfigError, match=r"norm GN: .* 32 channels \(MODEL\.NECK\.CHANNELS\)"):
        Projection(input_shape=SHAPES, in_strides=[32], channels=48, norm=NORMS["GN"])


def test_is_built_from_its_keys():
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "Projection", [16]
    cfg.MODEL.NECK.CHANNELS, cfg.MODEL.NECK.NORM = 32, "GN"
    neck = build_neck(cfg, SHAPES)
    assert neck.output_shape() == {"p4": ShapeSpec(channels=32, stride=16)}
    assert neck.norm.num_groups == 32
    cfg.MODEL.NECK.NORM = "LN"
    with pytest.raises(ConfigError, match=r"MODEL\.NECK\.NORM: there is no 'LN'"):
        build_neck(cfg, SHAPES)
