import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from yolov7.layers import RepConv


def trained(unit):
    """Norms as after some training, in eval mode and float64."""
    for norm in unit.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return unit.eval().double()


def normalised(x, norm):
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-3)


CASES = [(4, 6, 3, 1, False), (4, 4, 3, 1, True), (4, 6, 3, 2, False), (5, 5, 5, 1, True)]


@pytest.mark.parametrize(("before", "after", "kernel", "stride", "identity"), CASES)
def test_is_the_sum_of_its_branches(before, after, kernel, stride, identity):
    unit = trained(RepConv(before, after, kernel, stride=stride, identity=identity))
    x = torch.randn(2, before, 7, 8, dtype=torch.float64)
    dense = F.conv2d(x, unit.dense.conv.weight, stride=stride, padding=kernel // 2)
    pointwise = F.conv2d(x, unit.pointwise.conv.weight, stride=stride)
    expected = normalised(dense, unit.dense.norm) + normalised(pointwise, unit.pointwise.norm)
    if identity:
        expected = expected + normalised(x, unit.identity)
    assert torch.allclose(unit(x), F.silu(expected), atol=1e-12)


@pytest.mark.parametrize(("before", "after", "kernel", "stride", "identity"), CASES)
def test_deployed_it_is_one_convolution_that_gives_the_same(
    before, after, kernel, stride, identity
):
    unit = trained(RepConv(before, after, kernel, stride=stride, identity=identity))
    x = torch.randn(2, before, 7, 8, dtype=torch.float64)
    expected = unit(x)
    deployed = copy.deepcopy(unit).to_deploy()
    assert [tuple(p.shape) for p in deployed.parameters()] == [
        (after, before, kernel, kernel),
        (after,),
    ]
    assert torch.allclose(deployed(x), expected, atol=1e-12)


def test_an_identity_needs_equal_widths_and_no_stride():
    for arguments in ((4, 6, 3), (4, 4, 3)):
        with pytest.raises(ValueError, match="identity branch only for equal widths"):
            RepConv(*arguments, stride=2 if arguments[1] == 4 else 1, identity=True)


def test_other_norms_stay():
    def group_norm(channels):
        return nn.GroupNorm(2, channels)

    unit = RepConv(4, 4, norm=group_norm, identity=True)
    x = torch.randn(1, 4, 5, 5)
    expected = unit(x)
    assert unit.to_deploy() is unit
    assert torch.equal(unit(x), expected)


def test_on_the_meta_device():
    with torch.device("meta"):
        deployed = RepConv(4, 4, identity=True).to_deploy()
    assert all(parameter.is_meta for parameter in deployed.parameters())
