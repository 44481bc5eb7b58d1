import pytest
import torch
from torch import nn

from yolov7.layers import ImplicitA, ImplicitConv, ImplicitM


def test_by_hand():
    x = torch.tensor([[[[1.0]], [[2.0]]]])
    add, multiply = ImplicitA(2), ImplicitM(2)
    with torch.no_grad():
        add.implicit[0, :, 0, 0] = torch.tensor([0.5, -1.0])
        multiply.implicit[0, :, 0, 0] = torch.tensor([3.0, 0.5])
    assert add(x).flatten().tolist() == [1.5, 1.0]
    assert multiply(x).flatten().tolist() == [3.0, 1.0]


def test_they_start_near_doing_nothing():
    torch.manual_seed(0)
    add, multiply = ImplicitA(4000).implicit, ImplicitM(4000).implicit
    assert add.mean().item() == pytest.approx(0.0, abs=2e-3)
    assert multiply.mean().item() == pytest.approx(1.0, abs=2e-3)
    assert add.std().item() == pytest.approx(0.02, rel=0.05)
    assert multiply.std().item() == pytest.approx(0.02, rel=0.05)


def test_deployed_it_is_the_convolution_alone():
    torch.manual_seed(0)
    unit = ImplicitConv(nn.Conv2d(5, 7, 1)).double()
    for part in (unit.add, unit.multiply):
        nn.init.normal_(part.implicit)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    expected = unit(x)
    weight = unit.conv.weight.clone()
    deployed = unit.to_deploy()
    assert type(deployed) is nn.Conv2d
    assert torch.allclose(deployed(x), expected, atol=1e-12)
    assert not torch.allclose(deployed.weight, weight)
