import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import SPP
from yolov7.modeling.necks import DarknetFPN
from yolov7.utils.errors import ConfigError


def make_shapes(channels, strides):
    return {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }


def make_maps(channels, strides, height=64, width=128):
    return {
        f"c{stride}": torch.randn(2, c, height // stride, width // stride)
        for c, stride in zip(channels, strides, strict=True)
    }


@pytest.mark.parametrize("spp", [False, True])
@pytest.mark.parametrize(
    ("channels", "strides", "out_channels"),
    [([8, 16, 32], [8, 16, 32], [4, 8, 16]), ([7], [16], [4])]
    + [([5, 6, 7, 9], [4, 8, 16, 32], [4, 6, 8, 16])],
)
def test_any_number_of_levels_and_any_width(channels, strides, out_channels, spp):
    neck = DarknetFPN(
        input_shape=make_shapes(channels, strides),
        in_strides=strides,
        out_channels=out_channels,
        spp=spp,
    )
    outputs = neck(make_maps(channels, strides))
    assert {name: (o.shape[1], 128 // o.shape[3]) for name, o in outputs.items()} == {
        name: (spec.channels, spec.stride) for name, spec in neck.output_shape().items()
    }
    assert [spec.channels for spec in neck.output_shape().values()] == out_channels


def test_parameters_of_yolov3():
    """Darknet-53's maps: the convolutions' weights and two numbers a channel, by hand."""
    strides = [8, 16, 32]
    with torch.device("meta"):
        neck = DarknetFPN(
            input_shape=make_shapes([256, 512, 1024], strides),
            in_strides=strides,
            out_channels=[128, 256, 512],
        )
    expected = 0
    for width, before in ((512, 1024), (256, 512 + 256), (128, 256 + 128)):
        expected += before * width + 2 * 2 * width * width + 2 * 9 * 2 * width * width
        expected += 2 * (3 * width + 2 * 2 * width)
    for above, width in ((512, 256), (256, 128)):
        expected += above * width + 2 * width
    assert sum(p.numel() for p in neck.parameters()) == expected


def test_information_flows_down_only():
    channels, strides = [4, 8, 16], [8, 16, 32]
    neck = DarknetFPN(
        input_shape=make_shapes(channels, strides), in_strides=strides, out_channels=[4, 8, 16]
    ).eval()
    maps = {name: x.requires_grad_() for name, x in make_maps(channels, strides).items()}
    for name, sees in (
        ("p3", [True] * 3),
        ("p4", [False, True, True]),
        ("p5", [False] * 2 + [True]),
    ):
        gradients = torch.autograd.grad(
            neck(maps)[name].square().sum(), list(maps.values()), allow_unused=True
        )
        assert [gradient is not None for gradient in gradients] == sees


def test_joined_coarse_first():
    channels, strides = [3, 5], [8, 16]
    neck = DarknetFPN(
        input_shape=make_shapes(channels, strides),
        in_strides=strides,
        out_channels=[4, 6],
        activation=nn.Identity,
        norm=nn.Identity,
    )
    maps = make_maps(channels, strides)
    seen = []
    neck.blocks[0].register_forward_pre_hook(lambda block, args: seen.append(args[0]))
    coarse = neck(maps)["p4"]
    reduced = neck.reduce_convs[0](coarse)
    assert torch.equal(seen[0][:, :4, ::2, ::2], reduced)
    assert torch.equal(seen[0][:, :4, 1::2, 1::2], reduced)
    assert torch.equal(seen[0][:, 4:], maps["c8"])


def test_pooling_sits_in_the_middle_of_the_coarsest_level():
    strides = [8, 16]
    neck = DarknetFPN(
        input_shape=make_shapes([3, 5], strides), in_strides=strides, out_channels=[4, 6], spp=True
    )
    kinds = [[isinstance(layer, SPP) for layer in block] for block in neck.blocks]
    assert kinds == [[False] * 5, [False, False, True, False, False]]
    assert neck.blocks[1][2].squeeze.conv.weight.shape == (6, 12, 1, 1)


def test_from_config():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.NECK.SPP = 0.125, True
    cfg.MODEL.NECK.IN_STRIDES = [32, 16]
    neck = DarknetFPN(cfg, make_shapes([3, 5], [16, 32]))
    assert neck.output_shape() == {
        "p4": ShapeSpec(channels=32, stride=16),
        "p5": ShapeSpec(channels=64, stride=32),
    }
    assert isinstance(neck.blocks[1][2], SPP)
    assert isinstance(neck.blocks[0][0].act, nn.SiLU)


@pytest.mark.parametrize("strides", [[], [8, 32], [16, 8]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        DarknetFPN(input_shape={}, in_strides=strides, out_channels=[4] * len(strides))
