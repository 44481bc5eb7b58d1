import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yolov7.layers import DeformConv2d, deform_conv_flops


def literal(conv, x):
    """The formula, tap by tap: bilinear values at moved places, zero outside, times a weight."""
    said = conv.offsets(x)
    batch, _, rows, columns = said.shape
    taps = conv.kernel_size[0] * conv.kernel_size[1]
    height, width = x.shape[-2:]
    output = x.new_zeros(batch, conv.out_channels, rows, columns)
    for image in range(batch):
        for row in range(rows):
            for column in range(columns):
                for tap in range(taps):
                    i, j = divmod(tap, conv.kernel_size[1])
                    moves = said[image, 2 * tap : 2 * tap + 2, row, column]
                    y = row * conv.stride[0] - conv.padding[0] + i * conv.dilation[0] + moves[0]
                    z = column * conv.stride[1] - conv.padding[1] + j * conv.dilation[1] + moves[1]
                    value = x.new_zeros(conv.in_channels)
                    for y0 in (int(y.floor()), int(y.floor()) + 1):
                        for z0 in (int(z.floor()), int(z.floor()) + 1):
                            if 0 <= y0 < height and 0 <= z0 < width:
                                share = (1 - (y - y0).abs()) * (1 - (z - z0).abs())
                                value = value + share * x[image, :, y0, z0]
                    weight = said[image, 2 * taps + tap, row, column].sigmoid()
                    output[image, :, row, column] += conv.weight[:, :, i, j] @ value * weight
    return output if conv.bias is None else output + conv.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2}]
)
def test_equals_the_formula(options):
    torch.manual_seed(0)
    conv = DeformConv2d(2, 3, 3, **options).double()
    nn.init.normal_(conv.offsets.weight, std=0.5)
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(conv(x), literal(conv, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_untrained_it_is_half_of_the_convolution_it_replaces(bias):
    plain = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=bias)
    conv = DeformConv2d.like(plain)
    assert conv.weight is plain.weight and conv.bias is plain.bias
    assert set(conv.state_dict()) - set(plain.state_dict()) == {"offsets.weight", "offsets.bias"}
    x = torch.randn(2, 4, 9, 7)
    half = F.conv2d(x, 0.5 * plain.weight, plain.bias, stride=2, padding=1)
    assert torch.allclose(conv(x), half, atol=1e-6)


def test_gradients_reach_everything():
    torch.manual_seed(0)
    conv = DeformConv2d(2, 2, 3, padding=1).double()
    nn.init.normal_(conv.offsets.weight, std=0.1)
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, x)
    conv(x).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in conv.parameters())


def test_half_precision_computes_in_single():
    torch.manual_seed(0)
    conv = DeformConv2d(4, 4, 3, padding=1)
    nn.init.normal_(conv.offsets.weight, std=0.1)
    x = torch.randn(1, 4, 8, 8)
    expected = conv(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(conv(x), expected, atol=0.05)
        assert conv(x.bfloat16()).dtype == torch.bfloat16
    assert conv.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_operations_by_hand():
    """Of 8 x 12 cells: 9 taps of 4 channels to 6, and to 27 numbers for the taps."""
    with torch.device("meta"):
        conv, x = DeformConv2d(4, 6, 3, padding=1), torch.empty(1, 4, 8, 12)
    known = {torch.ops.torchvision.deform_conv2d: deform_conv_flops}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        conv(x)
    assert counter.get_total_flops() == 2 * 8 * 12 * 9 * 4 * (6 + 27)
