import copy
import math

import torch
from torch import nn

from yolov7.engine.ema import ModelEMA


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_updates_by_the_formula():
    model = make_model()
    ema = ModelEMA(model, decay=0.9, tau=5.0)
    expected = {name: value.clone().double() for name, value in model.state_dict().items()}
    for update in range(1, 4):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(4, 2))
        decay = 0.9 * (1 - math.exp(-update / 5.0))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value.clone().double()
        ema.update()
    for name, value in ema.model.state_dict().items():
        assert torch.allclose(value.double(), expected[name], atol=1e-6), name
    assert ema.model[1].num_batches_tracked == 3


def test_it_is_separate_from_the_model_and_in_eval_mode():
    model = make_model()
    ema = ModelEMA(model, decay=0.9, tau=5.0)
    ema.update()
    assert model.training
    assert not ema.model.training
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in ema.model.parameters())


def test_round_trip():
    model = make_model()
    ema = ModelEMA(model, decay=0.9, tau=5.0)
    model(torch.randn(4, 2))
    ema.update()
    state = copy.deepcopy(ema.state_dict())
    other = ModelEMA(make_model(), decay=0.9, tau=5.0)
    other.load_state_dict(state)
    assert other.updates == 1
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, state["model"][name])
