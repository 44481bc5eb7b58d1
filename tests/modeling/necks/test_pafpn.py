import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import SPP
from yolov7.modeling import build_neck
from yolov7.modeling.necks import PAFPN
from yolov7.utils.errors import ConfigError

STRIDES = [8, 16, 32]


def make_shapes(channels, strides):
    return {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }


def make_maps(channels, strides, height=64, width=128):
    return {
        f"c{stride}": torch.randn(2, c, -(-height // stride), -(-width // stride))
        for c, stride in zip(channels, strides, strict=True)
    }


def make_neck(channels, strides, out_channels, **arguments):
    return PAFPN(
        input_shape=make_shapes(channels, strides),
        in_strides=strides,
        out_channels=out_channels,
        **arguments,
    )


@pytest.mark.parametrize("size", [(64, 128), (320, 256), (72, 104)])
@pytest.mark.parametrize(
    ("channels", "strides", "out_channels"),
    [([8, 16, 32], STRIDES, [8, 16, 32]), ([3, 7], [16, 32], [4, 6])]
    + [([5, 6, 7, 9], [4, 8, 16, 32], [4, 8, 12, 16])],
)
def test_any_levels_widths_and_sizes(channels, strides, out_channels, size):
    """72 and 104 are no multiples of 16 and 32: sides of maps are rounded up, and odd."""
    neck = make_neck(channels, strides, out_channels)
    maps = make_maps(channels, strides, *size)
    outputs = neck(maps)
    assert list(outputs) == list(neck.output_shape())
    for name, spec in neck.output_shape().items():
        like = maps[f"c{spec.stride}"]
        assert outputs[name].shape == (2, spec.channels, *like.shape[-2:])
    assert [spec.channels for spec in neck.output_shape().values()] == out_channels


def test_parameters_of_yolov4():
    """Layers 105 to 158 of the network's file without the heads' 3x3 convolutions, by hand."""
    with torch.device("meta"):
        neck = make_neck([256, 512, 1024], STRIDES, [128, 256, 512])

    def five(before, width):
        return [
            (before, width, 1),
            (width, 2 * width, 3),
            (2 * width, width, 1),
            (width, 2 * width, 3),
            (2 * width, width, 1),
        ]

    convs = [
        *((1024, 512, 1), (512, 1024, 3), (1024, 512, 1)),
        *((2048, 512, 1), (512, 1024, 3), (1024, 512, 1)),
        *((512, 256, 1), (512, 256, 1), *five(512, 256)),
        *((256, 128, 1), (256, 128, 1), *five(256, 128)),
        *((128, 256, 3), *five(512, 256)),
        *((256, 512, 3), *five(1024, 512)),
    ]
    found = [
        (conv.in_channels, conv.out_channels, conv.kernel_size[0])
        for conv in neck.modules()
        if isinstance(conv, nn.Conv2d)
    ]
    assert sorted(found) == sorted(convs)
    expected = sum(before * after * side**2 + 2 * after for before, after, side in convs)
    assert sum(p.numel() for p in neck.parameters()) == expected


def test_every_output_sees_every_input():
    channels = [4, 8, 16]
    neck = make_neck(channels, STRIDES, [4, 8, 16]).eval()
    maps = {name: x.requires_grad_() for name, x in make_maps(channels, STRIDES).items()}
    for output in neck(maps).values():
        gradients = torch.autograd.grad(
            output.square().sum(), list(maps.values()), retain_graph=True
        )
        assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_order_of_what_is_joined():
    channels, strides = [3, 5], [8, 16]
    neck = make_neck(channels, strides, [4, 6], activation=nn.Identity, norm=nn.Identity)
    maps = make_maps(channels, strides)
    down, up = [], []
    neck.top_down_blocks[0].register_forward_pre_hook(lambda block, args: down.append(args[0]))
    neck.bottom_up_blocks[0].register_forward_pre_hook(lambda block, args: up.append(args[0]))
    outputs = neck(maps)
    pooled = neck.pooling(maps["c16"])
    reduced = neck.reduce_convs[0](pooled)
    assert torch.equal(down[0][:, :4], neck.lateral_convs[0](maps["c8"]))
    assert torch.equal(down[0][:, 4:, ::2, ::2], reduced)
    assert torch.equal(down[0][:, 4:, 1::2, 1::2], reduced)
    assert torch.equal(up[0][:, :6], neck.downsample_convs[0](outputs["p3"]))
    assert torch.equal(up[0][:, 6:], pooled)


def test_constants_are_darknets():
    neck = make_neck([3, 5], [8, 16], [4, 6])
    assert isinstance(neck.pooling[2], SPP)
    assert {norm.eps for norm in neck.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-5}
    slopes = {act.negative_slope for act in neck.modules() if isinstance(act, nn.LeakyReLU)}
    assert slopes == {0.1}


def test_is_built_from_its_keys():
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "PAFPN", [32, 16]
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.PAFPN.ACTIVATION = 0.125, "mish"
    neck = build_neck(cfg, make_shapes([3, 5], [16, 32]))
    assert neck.output_shape() == {
        "p4": ShapeSpec(channels=32, stride=16),
        "p5": ShapeSpec(channels=64, stride=32),
    }
    assert isinstance(neck.lateral_convs[0].act, nn.Mish)
    cfg.MODEL.PAFPN.ACTIVATION = "mich"
    with pytest.raises(ConfigError, match=r"MODEL\.PAFPN\.ACTIVATION.*mish"):
        build_neck(cfg, make_shapes([3, 5], [16, 32]))


@pytest.mark.parametrize("strides", [[8], [8, 32], [16, 8]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        make_neck([4] * len(strides), strides, [4] * len(strides))
