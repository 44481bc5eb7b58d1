import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import build_neck
from yolov7.modeling.necks import TinyFPN
from yolov7.utils.errors import ConfigError


def make_shapes(channels, strides):
    return {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }


def test_two_levels_by_hand():
    neck = TinyFPN(
        input_shape=make_shapes([2, 2], [8, 16]),
        in_strides=[8, 16],
        channels=[1, 2],
        norm=nn.Identity,
        activation=nn.Identity,
    )
    with torch.no_grad():
        neck.convs[1].conv.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 10.0]])[..., None, None])
        neck.convs[0].conv.weight.copy_(torch.tensor([[2.0, 3.0]])[..., None, None])
    fine = torch.arange(8.0).view(1, 2, 2, 2)
    found = neck({"c8": fine, "c16": torch.tensor([1.0, 4.0]).view(1, 2, 1, 1)})
    assert found["p4"].flatten().tolist() == [1.0, 40.0]
    # 2·1 + 3·40 four times, then the level's own map
    assert torch.equal(found["p3"][:, :1], torch.full((1, 1, 2, 2), 122.0))
    assert torch.equal(found["p3"][:, 1:], fine)


def test_widths_of_yolov4_tiny():
    """Layers 27 and 32 of the network's file: 1x1 to 256, 1x1 to 128 beside 256."""
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "TinyFPN", [32, 16]
    cfg.MODEL.DARKNET.ACTIVATION, cfg.MODEL.DARKNET.BN_EPSILON = "leaky_relu", 1e-5
    neck = build_neck(cfg, make_shapes([256, 512], [16, 32]))
    assert neck.output_shape() == {
        "p4": ShapeSpec(channels=384, stride=16),
        "p5": ShapeSpec(channels=256, stride=32),
    }
    assert sum(p.numel() for p in neck.parameters()) == 256 * 128 + 512 * 256 + 2 * (128 + 256)
    assert neck.convs[0].norm.eps == 1e-5 and neck.convs[0].act.negative_slope == 0.1


@pytest.mark.parametrize("size", [(64, 96), (72, 104)])
def test_any_levels_and_sizes(size):
    """72 and 104 are no multiples of 16: sides of maps are rounded up, and odd."""
    channels, strides = [3, 5, 7], [4, 8, 16]
    shapes = make_shapes(channels, strides)
    neck = TinyFPN(input_shape=shapes, in_strides=strides, channels=[2, 4, 6])
    maps = {
        name: torch.randn(2, s.channels, *(-(-side // s.stride) for side in size))
        for name, s in shapes.items()
    }
    outputs = neck(maps)
    assert [spec.channels for spec in neck.output_shape().values()] == [5, 9, 6]
    for (name, spec), like in zip(neck.output_shape().items(), maps.values(), strict=True):
        assert outputs[name].shape == (2, spec.channels, *like.shape[-2:])


def test_strides_must_double():
    with pytest.raises(ConfigError, match="each twice the one before"):
        TinyFPN(input_shape=make_shapes([1, 1], [8, 32]), in_strides=[8, 32], channels=[1, 1])
