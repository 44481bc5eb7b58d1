import torch
from torch import nn

from yolov7.layers import Bottleneck, CSPBlock, DepthwiseSeparableConv


def test_shortcut_adds_the_input():
    with_shortcut = Bottleneck(4, shortcut=True).eval()
    without = Bottleneck(4, shortcut=False).eval()
    without.load_state_dict(with_shortcut.state_dict())
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(with_shortcut(x), x + without(x))


def test_joined_deep_first():
    block = CSPBlock(4, 8, num_blocks=1, shortcut=False, activation=nn.Identity).eval()
    x = torch.randn(1, 4, 5, 5)
    deep, shallow = block.blocks(block.deep(x)), block.shallow(x)
    for start, half in ((0, deep), (4, shallow)):
        # a mixing convolution that copies one half of what was joined
        nn.init.zeros_(block.mix.conv.weight)
        for channel in range(4):
            block.mix.conv.weight.data[channel, start + channel] = 1.0
        scale = (1.0 + block.mix.norm.eps) ** -0.5
        assert torch.allclose(block(x)[:, :4], half * scale, atol=1e-6)


def test_no_bottlenecks_and_depthwise_ones():
    assert len(CSPBlock(4, 8, num_blocks=0, shortcut=True).blocks) == 0
    block = CSPBlock(4, 8, num_blocks=2, shortcut=True, spatial_conv=DepthwiseSeparableConv)
    assert [type(b.conv2) for b in block.blocks] == [DepthwiseSeparableConv] * 2
    assert block(torch.zeros(1, 4, 3, 3)).shape == (1, 8, 3, 3)
