import pytest
import torch

from yolov7.d2 import ShapeSpec
from yolov7.modeling.necks import CSPPAFPN
from yolov7.utils.errors import ConfigError


def make_neck(channels, strides, out_channels, **arguments):
    shapes = {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }
    return CSPPAFPN(
        input_shape=shapes,
        in_strides=strides,
        out_channels=out_channels,
        num_blocks=1,
        **arguments,
    )


def make_maps(channels, strides, height=64, width=128):
    return {
        f"c{stride}": torch.randn(2, c, height // stride, width // stride)
        for c, stride in zip(channels, strides, strict=True)
    }


@pytest.mark.parametrize(
    ("channels", "strides", "out_channels"),
    [([8, 16, 32], [8, 16, 32], [8, 16, 32]), ([3, 7], [16, 32], [4, 6])]
    + [([5, 6, 7, 9], [4, 8, 16, 32], [4, 8, 12, 16])],
)
def test_any_number_of_levels_and_any_width(channels, strides, out_channels):
    neck = make_neck(channels, strides, out_channels)
    outputs = neck(make_maps(channels, strides))
    assert {name: (o.shape[1], 128 // o.shape[3]) for name, o in outputs.items()} == {
        name: (spec.channels, spec.stride) for name, spec in neck.output_shape().items()
    }
    assert [spec.channels for spec in neck.output_shape().values()] == out_channels


def test_every_output_sees_every_input():
    channels, strides = [4, 8, 16], [8, 16, 32]
    neck = make_neck(channels, strides, [4, 8, 16]).eval()
    maps = {name: x.requires_grad_() for name, x in make_maps(channels, strides).items()}
    for output in neck(maps).values():
        gradients = torch.autograd.grad(
            output.square().sum(), list(maps.values()), retain_graph=True
        )
        assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_bottom_up_joins_the_reduced_maps():
    channels, strides = [4, 8, 16], [8, 16, 32]
    neck = make_neck(channels, strides, [4, 8, 16]).eval()
    maps = make_maps(channels, strides)
    seen = []
    neck.bottom_up_blocks[1].register_forward_pre_hook(lambda block, args: seen.append(args[0]))
    outputs = neck(maps)
    assert torch.equal(seen[0][:, :8], neck.downsample_convs[1](outputs["p4"]))
    assert torch.equal(seen[0][:, 8:], neck.reduce_convs[1](maps["c32"]))


@pytest.mark.parametrize("strides", [[8], [8, 32], [16, 8]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        make_neck([4] * len(strides), strides, [4] * len(strides))
