import math

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.layers import ConvNormAct
from yolov7.modeling import build_detector, reparameterize
from yolov7.modeling.reparameterization import (
    probe_detector,
    relative_difference,
    reparameterized_copy,
)


class Shrunk(nn.Module):
    """Says that it equals a convolution, rightly or not."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return x * 2.0

    def to_deploy(self):
        return Scale(self.factor.item())


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def probe(model):
    with torch.no_grad():
        return [model(torch.linspace(-1, 1, 48, dtype=torch.float64).view(1, 3, 4, 4))]


def small_detector():
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = "YOLOX", "cpu"
    cfg.MODEL.BACKBONE.NAME = "CSPDarknet"
    cfg.MODEL.YOLO.CLASSES = 3
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.0
    model = build_detector(cfg)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.normal_(norm.running_mean, std=0.1)
    return model


def test_smaller_model_gives_the_same_and_the_first_one_stays():
    model = small_detector().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    state = torch.get_rng_state()
    smaller = reparameterize(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert norms > 40
    assert not any(isinstance(module, nn.BatchNorm2d) for module in smaller.modules())
    assert not smaller.training
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    difference = relative_difference(
        probe_detector(smaller.double()), probe_detector(model.eval().double())
    )
    assert difference < 1e-5


def test_twice_is_once():
    once = reparameterize(nn.Sequential(ConvNormAct(3, 4, 3)), probe=probe)
    twice = reparameterize(once, probe=probe)
    assert list(twice.state_dict()) == list(once.state_dict()) == ["0.conv.weight", "0.conv.bias"]


def test_auxiliary_parts_are_dropped():
    model = small_detector()
    model.auxiliary_head = nn.Conv2d(3, 3, 1)
    assert reparameterized_copy(model).auxiliary_head is None
    assert model.auxiliary_head is not None


def test_a_module_that_returns_another_one():
    model = nn.Sequential(ConvNormAct(3, 4, 3), Shrunk(2.0))
    smaller = reparameterize(model, probe=probe)
    assert isinstance(smaller[1], Scale)
    assert isinstance(reparameterize(Shrunk(2.0), probe=probe), Scale)


@pytest.mark.parametrize("factor", [2.001, math.nan])
def test_a_copy_that_differs_is_refused(factor):
    with pytest.raises(ArithmeticError, match=r"reparameterising Sequential changed its outputs"):
        reparameterize(nn.Sequential(Shrunk(factor)), probe=probe)


def test_a_foreign_model_without_a_probe_is_copied_as_it_is():
    model = nn.Sequential(ConvNormAct(3, 4, 3), Shrunk(3.0)).train()
    copied = reparameterize(model)
    assert copied is not model and model.training and not copied.training
    assert [type(part) for part in copied.modules()] == [type(part) for part in model.modules()]


def test_copy_on_the_meta_device():
    with torch.device("meta"):
        smaller = reparameterized_copy(nn.Sequential(ConvNormAct(3, 4, 3)))
    assert [tuple(p.shape) for p in smaller.parameters()] == [(4, 3, 3, 3), (4,)]
    assert smaller[0].conv.weight.is_meta


def test_relative_difference():
    one, two = torch.tensor([1.0, -4.0]), torch.tensor([2.0, -4.0])
    assert relative_difference({"a": [one, one]}, {"a": [one, two]}) == 0.25
    assert relative_difference(one, torch.ones(3)) == math.inf
    assert math.isnan(relative_difference(torch.tensor([math.nan]), one[:1]))
    assert relative_difference(torch.zeros(0), torch.zeros(0)) == 0.0
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0.0
