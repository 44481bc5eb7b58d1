import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import SPP, DropBlock
from yolov7.modeling import build_neck
from yolov7.modeling.necks import PPYOLOPAN
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
    return PPYOLOPAN(
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


def test_parameters_of_pp_yolov2():
    """Every convolution of the network's neck on ResNet50-vd, by hand.

    With the backbone's 23,527,264 parameters, 373,329 of the offsets and masks of three deformable
    convolutions and the head's three 1x1 convolutions to 258 channels (463,110) it makes the 54.58
    million that the authors give (in the ablation of PP-YOLOE, arXiv:2203.16250).
    """
    with torch.device("meta"):
        neck = make_neck([512, 1024, 2048], STRIDES, [256, 512, 1024])

    def block(before, width, *, spp=False):
        second = (4 * width, width, 1) if spp else (width, width, 3)
        return [
            *((before, width, 1), (before, width, 1), (2 * width, 2 * width, 1)),
            *((width, width, 1), (width, width, 3), (width, width, 1), second),
            *((width, width, 1), (width, width, 3)),
        ]

    convs = [
        *block(2048, 512, spp=True),
        *((1024, 512, 1), *block(512 + 1024, 256)),
        *((512, 256, 1), *block(256 + 512, 128)),
        *((256, 256, 3), *block(256 + 512, 256)),
        *((512, 512, 3), *block(512 + 1024, 512)),
    ]
    found = [
        (conv.in_channels, conv.out_channels, conv.kernel_size[0])
        for conv in neck.modules()
        if isinstance(conv, nn.Conv2d)
    ]
    assert sorted(found) == sorted(convs)
    parameters = sum(p.numel() for p in neck.parameters())
    assert parameters == sum(b * a * side**2 + 2 * a for b, a, side in convs)
    assert round((parameters + 23_527_264 + 373_329 + 463_110) / 1e6, 2) == 54.58


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
    neck = make_neck(channels, strides, [4, 6], activation=nn.Identity, norm=nn.Identity).eval()
    maps = make_maps(channels, strides)
    down, up = [], []
    neck.top_down_blocks[0].register_forward_pre_hook(lambda block, args: down.append(args[0]))
    neck.bottom_up_blocks[0].register_forward_pre_hook(lambda block, args: up.append(args[0]))
    outputs = neck(maps)
    pooled = neck.pooling_block(maps["c16"])
    reduced = neck.reduce_convs[0](pooled)
    assert torch.equal(down[0][:, :3, ::2, ::2], reduced)
    assert torch.equal(down[0][:, :3, 1::2, 1::2], reduced)
    assert torch.equal(down[0][:, 3:], maps["c8"])
    assert torch.equal(up[0][:, :4], neck.downsample_convs[0](outputs["p3"]))
    assert torch.equal(up[0][:, 4:], pooled)


def test_where_it_pools_and_drops():
    neck = make_neck([3, 5], [8, 16], [4, 6], drop_share=0.2, drop_size=5)
    blocks = [neck.pooling_block, *neck.top_down_blocks, *neck.bottom_up_blocks]
    assert [isinstance(block.blocks[1], SPP) for block in blocks] == [True, False, False]
    drops = [block.blocks[2] for block in blocks]
    assert all(isinstance(drop, DropBlock) for drop in drops)
    assert {(drop.share, drop.block_size) for drop in drops} == {(0.2, 5)}
    torch.manual_seed(0)
    maps = make_maps([3, 5], [8, 16])
    neck.eval()
    assert torch.equal(neck(maps)["p3"], neck(maps)["p3"])
    neck.train()
    assert not torch.equal(neck(maps)["p3"], neck(maps)["p3"])


def test_is_built_from_its_keys():
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "PPYOLOPAN", [32, 16]
    pan = cfg.MODEL.PPYOLO_PAN
    cfg.MODEL.YOLO.WIDTH_MUL, pan.ACTIVATION = 0.125, "relu"
    pan.DROP_SHARE, pan.DROP_SIZE = 0.05, 7
    neck = build_neck(cfg, make_shapes([3, 5], [16, 32]))
    assert neck.output_shape() == {
        "p4": ShapeSpec(channels=64, stride=16),
        "p5": ShapeSpec(channels=128, stride=32),
    }
    assert isinstance(neck.reduce_convs[0].act, nn.ReLU)
    drop = neck.pooling_block.blocks[2]
    assert (drop.share, drop.block_size) == (0.05, 7)
    pan.ACTIVATION = "mich"
    with pytest.raises(ConfigError, match=r"MODEL\.PPYOLO_PAN\.ACTIVATION.*mish"):
        build_neck(cfg, make_shapes([3, 5], [16, 32]))
    for key, wrong in (("DROP_SIZE", 0), ("DROP_SHARE", 1.0)):
        pan[key] = wrong
        with pytest.raises(ConfigError, match=rf"MODEL\.PPYOLO_PAN\.{key}: .*, got {wrong}"):
            build_neck(cfg, make_shapes([3, 5], [16, 32]))


@pytest.mark.parametrize("strides", [[8], [8, 32], [16, 8]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        make_neck([4] * len(strides), strides, [4] * len(strides))
