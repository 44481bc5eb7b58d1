import pytest
import torch
import torch.nn.functional as F

from yolov7.d2 import ShapeSpec
from yolov7.layers import TRANSITIONS, TinySPPCSPC
from yolov7.modeling.necks import ELANPAFPN
from yolov7.utils.errors import ConfigError


def make_neck(channels, strides, out_channels, **arguments):
    shapes = {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }
    defaults = {"hidden_channels": [4] * len(strides), "num_convs": 2}
    return ELANPAFPN(
        input_shape=shapes,
        in_strides=strides,
        out_channels=out_channels,
        **{**defaults, **arguments},
    )


def make_maps(channels, strides, height=64, width=128):
    return {
        f"c{stride}": torch.randn(2, c, height // stride, width // stride)
        for c, stride in zip(channels, strides, strict=True)
    }


@pytest.mark.parametrize(
    ("channels", "strides", "out_channels"),
    [([8, 16, 32], [8, 16, 32], [8, 16, 32]), ([3, 7], [16, 32], [4, 7])]
    + [([5, 6, 7, 9], [4, 8, 16, 32], [4, 8, 12, 16])],
)
@pytest.mark.parametrize("transition", ["conv", "mp", "down_c"])
def test_any_number_of_levels_and_any_width(channels, strides, out_channels, transition):
    neck = make_neck(channels, strides, out_channels, transition=TRANSITIONS[transition])
    outputs = neck(make_maps(channels, strides))
    shapes = neck.output_shape() | neck.auxiliary_shape()
    assert {name: (o.shape[1], 128 // o.shape[3]) for name, o in outputs.items()} == {
        name: (spec.channels, spec.stride) for name, spec in shapes.items()
    }
    levels = [stride.bit_length() - 1 for stride in strides]
    assert list(neck.output_shape()) == [f"p{level}" for level in levels]
    assert list(neck.auxiliary_shape()) == [f"aux{level}" for level in levels]
    assert [spec.channels for spec in neck.output_shape().values()] == out_channels


def test_every_output_sees_every_input():
    channels, strides = [4, 8, 16], [8, 16, 32]
    neck = make_neck(channels, strides, [4, 8, 16]).eval()
    maps = {name: x.requires_grad_() for name, x in make_maps(channels, strides).items()}
    outputs = neck(maps)
    for name in neck.output_shape():
        gradients = torch.autograd.grad(
            outputs[name].square().sum(), list(maps.values()), retain_graph=True
        )
        assert all(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("num_branches", [1, 2])
def test_wiring(num_branches):
    """Written out for two levels: pooling, down, up; lateral and strided maps come first."""
    channels, strides = [5, 9], [8, 16]
    neck = make_neck(channels, strides, [4, 6], num_branches=num_branches, pooling=TinySPPCSPC)
    maps, neck = make_maps(channels, strides), neck.eval()
    outputs = neck(maps)
    pooled, down, up = neck.pooling(maps["c16"]), neck.top_down[0], neck.bottom_up[0]
    enlarged = F.interpolate(down.reduce(pooled), scale_factor=2)
    joined = torch.cat([down.lateral(maps["c8"]), enlarged], dim=1)
    fine = down.block(joined)
    assert torch.equal(outputs["p3"], fine)
    expected = up.block(torch.cat([up.transition(fine), pooled], dim=1))
    assert torch.equal(outputs["p4"], expected)
    # Taps of the way down: the block's output, or the second branch alone; the pooled map on top.
    tap = fine if num_branches == 1 else down.block.branches[1](joined)
    assert torch.equal(outputs["aux3"], tap)
    assert torch.equal(outputs["aux4"], pooled)


def test_widths_inside():
    neck = make_neck([8, 8], [8, 16], [6, 10], hidden_channels=[4, 8], conv_ratio=0.5)
    down, up = neck.top_down[0].block, neck.bottom_up[0].block
    assert (down.entry.conv.out_channels, down.convs[0].conv.out_channels) == (4, 2)
    assert (up.entry.conv.out_channels, up.convs[0].conv.out_channels) == (8, 4)


@pytest.mark.parametrize("strides", [[8], [8, 32], [16, 8]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        make_neck([4] * len(strides), strides, [4] * len(strides))


def test_wrong_values():
    with pytest.raises(ConfigError, match=r"ELAN_PAFPN: CHANNELS and HIDDEN_CHANNELS want one"):
        make_neck([4, 4], [8, 16], [4])
    with pytest.raises(ConfigError, match=r"ELAN_PAFPN\.TRANSITION: max-pooling cannot turn 4"):
        make_neck([4, 4], [8, 16], [4, 6], transition=TRANSITIONS["pool"])
