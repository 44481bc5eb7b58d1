import pytest
import torch
from torch import nn

from yolov7.layers import (
    ConvNormAct,
    DepthwiseSeparableConv,
    FrozenBatchNorm2d,
    fuse_conv_batch_norm,
)


def randomise_norms(module):
    """Running statistics and affine values as after some training."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return module.eval()


def test_hand_worked():
    unit = ConvNormAct(1, 1, 1, activation=nn.ReLU).eval()
    nn.init.constant_(unit.conv.weight, 2.0)
    unit.norm.running_mean.fill_(1.0)
    unit.norm.running_var.fill_(4.0 - 1e-3)  # the epsilon adds up to a variance of 4
    nn.init.constant_(unit.norm.weight, 3.0)
    nn.init.constant_(unit.norm.bias, -1.0)
    x = torch.tensor([[[[0.0, 1.0, 3.0]]]])
    # (2x - 1) / 2 * 3 - 1, then the negative one is cut
    assert torch.allclose(unit(x), torch.tensor([[[[0.0, 0.5, 6.5]]]]))


def test_norm_constants_of_the_yolo_families():
    norm = ConvNormAct(3, 4, 3).norm
    assert (norm.eps, norm.momentum) == (1e-3, 0.03)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_padding_keeps_the_size_up_to_the_stride(kernel_size, stride, side):
    unit = ConvNormAct(2, 4, kernel_size, stride=stride)
    assert unit(torch.zeros(1, 2, 7, 7)).shape == (1, 4, side, side)


def test_a_dilated_kernel_looks_further_and_keeps_the_size():
    unit = ConvNormAct(1, 1, 3, dilation=2, norm=nn.Identity, activation=nn.Identity)
    nn.init.ones_(unit.conv.weight)
    x = torch.zeros(1, 1, 7, 9)
    x[0, 0, 3, 4] = 1.0
    reached = unit(x)[0, 0].nonzero().tolist()
    assert reached == [[row, column] for row in (1, 3, 5) for column in (2, 4, 6)]


def test_a_frozen_norm_is_folded_into_a_convolution_with_bias():
    unit = ConvNormAct(2, 3, 3, bias=True, norm=FrozenBatchNorm2d)
    for values in (unit.norm.bias, unit.norm.running_mean):
        nn.init.normal_(values)
    x = torch.randn(1, 2, 5, 6)
    expected = unit(x)
    assert torch.allclose(unit.to_deploy()(x), expected, atol=1e-5)
    assert isinstance(unit.norm, nn.Identity)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, bias=False),
        nn.Conv2d(4, 6, 3, bias=True, stride=2, padding=1),
        nn.Conv2d(4, 4, 3, bias=False, groups=4, padding=2, dilation=2),
        nn.Conv2d(4, 6, 1, bias=False, padding=1, padding_mode="reflect"),
    ],
)
def test_fused_convolution_equals_the_pair(conv):
    pair = randomise_norms(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))).double()
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    fused = fuse_conv_batch_norm(*pair)
    assert torch.allclose(fused(x), pair(x), atol=1e-12)
    assert [name for name, _ in fused.named_parameters()] == ["weight", "bias"]


def test_fusing_folds_in_double():
    """In float32 the error is one rounding of each weight."""
    pair = randomise_norms(nn.Sequential(nn.Conv2d(64, 8, 3, bias=False), nn.BatchNorm2d(8)))
    fused = fuse_conv_batch_norm(*pair)
    exact = fuse_conv_batch_norm(*pair.double())
    assert torch.equal(fused.weight, exact.weight.float())
    assert torch.equal(fused.bias, exact.bias.float())


def test_deploy_form_has_no_norm():
    unit = randomise_norms(DepthwiseSeparableConv(4, 6, 3, stride=2))
    x = torch.randn(2, 4, 8, 8)
    expected = unit(x)
    unit.depthwise, unit.pointwise = unit.depthwise.to_deploy(), unit.pointwise.to_deploy()
    assert torch.allclose(unit(x), expected, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in unit.modules())
    assert [tuple(p.shape) for p in unit.parameters()] == [(4, 1, 3, 3), (4,), (6, 4, 1, 1), (6,)]


def test_other_norms_stay():
    unit = ConvNormAct(4, 6, 3, norm=lambda channels: nn.GroupNorm(2, channels)).to_deploy()
    assert isinstance(unit.norm, nn.GroupNorm)
    assert unit.conv.bias is None


def test_depthwise_convolution_sees_one_channel():
    unit = DepthwiseSeparableConv(3, 5, 3).eval()
    x = torch.randn(1, 3, 6, 6)
    changed = x.clone()
    changed[:, 1] += 1.0
    difference = (unit.depthwise(changed) - unit.depthwise(x)).abs().amax(dim=(0, 2, 3))
    assert difference[1] > 0
    assert difference[0] == difference[2] == 0
