import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import build_neck
from yolov7.modeling.necks import BiFPN
from yolov7.modeling.necks.bifpn import BiFPNLayer
from yolov7.modeling.necks.top_blocks import PooledTopBlock
from yolov7.solver.param_groups import parameter_groups
from yolov7.utils.errors import ConfigError

STRIDES = [8, 16, 32]


def make_shapes(channels, strides=STRIDES):
    return {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }


def make_maps(channels, height, width):
    return {
        f"c{stride}": torch.randn(2, c, -(-height // stride), -(-width // stride))
        for c, stride in zip(channels, STRIDES, strict=True)
    }


def make_transparent(layer):
    """Leave of every node the weighted sum alone, without epsilon."""
    for node in [*layer.down, *layer.up]:
        node.conv = nn.Identity()
        node.fuse.epsilon = 0.0
    return layer


@pytest.mark.parametrize("sizes", [[(8, 4), (4, 2), (2, 1)], [(9, 5), (5, 3), (3, 2)]])
def test_fusion_of_constant_maps_by_hand(sizes):
    """Inputs 12, 6, 30, finest first.

    Down: level 1 is (3·6 + 1·30) / 4 = 12, level 0 is (1·12 + 2·12) / 3 = 12. Up: level 1 is
    (1·6 + 2·12 + 1·12) / 4 = 10.5, level 2 is (1·30 + 2·10.5) / 3 = 17.
    """
    layer = make_transparent(BiFPNLayer(3, 1, activation=nn.SiLU, norm=nn.Identity))
    with torch.no_grad():
        layer.down[1].fuse.weights.copy_(torch.tensor([3.0, 1.0]))
        layer.down[0].fuse.weights.copy_(torch.tensor([1.0, 2.0]))
        layer.up[0].fuse.weights.copy_(torch.tensor([1.0, 2.0, 1.0]))
        layer.up[1].fuse.weights.copy_(torch.tensor([1.0, 2.0]))
    maps = [
        torch.full((1, 1, *size), value)
        for value, size in zip([12.0, 6.0, 30.0], sizes, strict=True)
    ]
    outputs = layer(maps)
    for output, value, size in zip(outputs, [12.0, 10.5, 17.0], sizes, strict=True):
        assert output.shape == (1, 1, *size)
        assert torch.allclose(output, torch.tensor(value))


def test_two_levels_by_hand():
    """Level 0 is the mean of 2 and 4, level 1 the mean of 4 and that."""
    layer = make_transparent(BiFPNLayer(2, 1, activation=nn.SiLU, norm=nn.Identity))
    outputs = layer([torch.full((1, 1, 2, 2), 2.0), torch.full((1, 1, 1, 1), 4.0)])
    assert [output.unique().tolist() for output in outputs] == [[3.0], [3.5]]


def test_parameters():
    """Convolutions and two numbers a channel, and a repeat's 2+2+3+2 weights of sums, by hand."""
    width = 6
    neck = BiFPN(
        input_shape=make_shapes([3, 4, 5]), in_strides=STRIDES, channels=width, num_repeats=2
    )
    node = 9 * width + 2 * width + width * width + 2 * width
    expected = (3 + 4 + 5) * width + 3 * 2 * width + 2 * (4 * node + 2 + 2 + 3 + 2)
    assert sum(p.numel() for p in neck.parameters()) == expected


def test_pooled_levels():
    """Maxima over 3x3 windows around every second cell."""
    coarsest = torch.arange(15.0).view(1, 1, 3, 5)
    first, second = PooledTopBlock(1)(coarsest)
    assert first.tolist() == [[[[6.0, 8.0, 9.0], [11.0, 13.0, 14.0]]]]
    assert second.tolist() == [[[[13.0, 14.0]]]]


@pytest.mark.parametrize(("name", "levels"), [("", 3), ("max_pool", 4), ("max_pools", 5)])
@pytest.mark.parametrize("size", [(320, 256), (72, 104)])
def test_is_built_from_its_keys(name, levels, size):
    torch.manual_seed(0)
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "BiFPN", [32, 8, 16]
    cfg.MODEL.NECK.CHANNELS, cfg.MODEL.NECK.TOP_BLOCK = 6, name
    cfg.MODEL.BIFPN.REPEATS, cfg.MODEL.BIFPN.ACTIVATION = 2, "mish"
    neck = build_neck(cfg, make_shapes([2, 3, 4]))
    assert len(neck.layers) == 2
    assert isinstance(neck.layers[0].up[0].conv.pointwise.act, nn.Mish)
    outputs = neck(make_maps([2, 3, 4], *size))
    strides = [8, 16, 32, 64, 128][:levels]
    assert list(outputs) == list(neck.output_shape()) == ["p3", "p4", "p5", "p6", "p7"][:levels]
    for stride, (level, output) in zip(strides, outputs.items(), strict=True):
        assert neck.output_shape()[level] == ShapeSpec(channels=6, stride=stride)
        assert output.shape == (2, 6, -(-size[0] // stride), -(-size[1] // stride))
    sum((output**3).sum() for output in outputs.values()).backward()
    assert not [name for name, p in neck.named_parameters() if not p.grad.abs().max() > 0]


def test_its_weights_do_not_decay():
    neck = BiFPN(input_shape=make_shapes([2, 3, 4]), in_strides=STRIDES, channels=4, num_repeats=2)
    groups = parameter_groups(neck, lr=1.0, weight_decay=0.1)
    (exempt,) = [group for group in groups if group["weight_decay"] == 0.0]
    assert sorted(len(weights) for weights in exempt["params"]) == sorted([2, 2, 3, 2] * 2)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("BIFPN", "REPEATS", 0), ("BIFPN", "ACTIVATION", "swiss"), ("NECK", "TOP_BLOCK", "pool")]
    + [("NECK", "CHANNELS", 0)],
)
def test_bad_values_are_refused(section, key, value):
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL[section][key] = "BiFPN", value
    with pytest.raises(ConfigError, match=rf"MODEL\.{section}\.{key}"):
        build_neck(cfg, make_shapes([2, 3, 4]))


@pytest.mark.parametrize("strides", [[8], [8, 32]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        BiFPN(input_shape=make_shapes([2, 3, 4]), in_strides=strides, channels=4, num_repeats=1)
