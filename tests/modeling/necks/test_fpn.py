import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import NORMS
from yolov7.modeling import build_neck
from yolov7.modeling.necks import FPN
from yolov7.modeling.necks.top_blocks import StridedConvTopBlock, SubsampledTopBlock
from yolov7.utils.errors import ConfigError

STRIDES = [8, 16, 32]


def make_shapes(channels, strides=STRIDES):
    return {
        f"c{stride}": ShapeSpec(channels=c, stride=stride)
        for c, stride in zip(channels, strides, strict=True)
    }


def constant_maps(values, sizes):
    """Maps of one channel that have one value everywhere."""
    return {
        f"c{stride}": torch.full((1, 1, *size), value)
        for stride, value, size in zip(STRIDES, values, sizes, strict=True)
    }


def make_transparent(neck, factors):
    """Let lateral convolutions multiply by factors, and output convolutions change nothing."""
    with torch.no_grad():
        for (lateral, _), (output, _), factor in zip(
            neck.lateral_convs, neck.output_convs, factors, strict=True
        ):
            lateral.weight.fill_(factor)
            output.weight.zero_()
            output.weight[:, :, 1, 1] = 1.0
    return neck


@pytest.mark.parametrize("sizes", [[(8, 4), (4, 2), (2, 1)], [(9, 5), (5, 3), (3, 2)]])
def test_sums_of_constant_maps(sizes):
    """5·10 = 50; 50 + 3·10 = 80; 80 + 2·10 = 100."""
    neck = FPN(input_shape=make_shapes([1, 1, 1]), in_strides=STRIDES, channels=1)
    found = make_transparent(neck, [2.0, 3.0, 5.0])(constant_maps([10.0, 10.0, 10.0], sizes))
    assert list(found) == list(neck.output_shape()) == ["p3", "p4", "p5"]
    for output, value, size in zip(found.values(), [100.0, 80.0, 50.0], sizes, strict=True):
        assert torch.equal(output, torch.full((1, 1, *size), value))


def test_enlarged_by_repeating_cells():
    neck = FPN(input_shape=make_shapes([1, 1], [8, 16]), in_strides=[8, 16], channels=1)
    maps = {"c8": torch.zeros(1, 1, 2, 4), "c16": torch.tensor([[[[1.0, 2.0]]]])}
    found = make_transparent(neck, [1.0, 1.0])(maps)
    assert found["p3"].tolist() == [[[[1.0, 1.0, 2.0, 2.0]] * 2]]
    odd = {"c8": torch.zeros(1, 1, 1, 3), "c16": torch.tensor([[[[1.0, 2.0]]]])}
    assert neck(odd)["p3"].tolist() == [[[[1.0, 1.0, 2.0]]]]


@pytest.mark.parametrize(("norm", "per_level"), [("", 2 * 64), ("GN", 2 * 2 * 64)])
def test_parameters(norm, per_level):
    """Convolutions have a bias, or a norm of two numbers a channel instead."""
    neck = FPN(
        input_shape=make_shapes([3, 4, 5]), in_strides=STRIDES, channels=64, norm=NORMS[norm]
    )
    expected = (3 + 4 + 5) * 64 + 3 * 9 * 64 * 64 + 3 * per_level
    assert sum(p.numel() for p in neck.parameters()) == expected


def test_subsampled_level():
    coarsest = torch.arange(15.0).view(1, 1, 3, 5)
    (found,) = SubsampledTopBlock(1)(coarsest)
    assert found.tolist() == [[[[0.0, 2.0, 4.0], [10.0, 12.0, 14.0]]]]


def test_convolved_levels():
    """By hand on a map of ones: sums over windows, less 5, ReLU, and twice the sum of those."""
    block = StridedConvTopBlock(1)
    with torch.no_grad():
        block.first.weight.fill_(1.0)
        block.second.weight.fill_(2.0)
        block.first.bias.fill_(-5.0)
    first, second = block(torch.ones(1, 1, 3, 4))
    # Windows at the left hold 2 columns, at column 2 they hold 3; 2 rows each.
    assert first.tolist() == [[[[-1.0, 1.0], [-1.0, 1.0]]]]
    assert second.tolist() == [[[[4.0]]]]


@pytest.mark.parametrize(("name", "levels"), [("", 3), ("max_pool", 4), ("convs", 5)])
@pytest.mark.parametrize("size", [(320, 256), (96, 160)])
def test_is_built_from_its_keys(name, levels, size):
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "FPN", [32, 8, 16]
    cfg.MODEL.NECK.CHANNELS, cfg.MODEL.NECK.TOP_BLOCK = 6, name
    neck = build_neck(cfg, make_shapes([2, 3, 4]))
    outputs = neck(
        {
            f"c{stride}": torch.randn(2, c, size[0] // stride, size[1] // stride)
            for c, stride in zip([2, 3, 4], STRIDES, strict=True)
        }
    )
    strides = [8, 16, 32, 64, 128][:levels]
    assert list(outputs) == list(neck.output_shape()) == ["p3", "p4", "p5", "p6", "p7"][:levels]
    for stride, (level, output) in zip(strides, outputs.items(), strict=True):
        assert neck.output_shape()[level] == ShapeSpec(channels=6, stride=stride)
        assert output.shape == (2, 6, -(-size[0] // stride), -(-size[1] // stride))
    sum(output.square().sum() for output in outputs.values()).backward()
    assert all(p.grad.abs().max() > 0 for p in neck.parameters())


@pytest.mark.parametrize(
    ("key", "value"), [("TOP_BLOCK", "conv"), ("NORM", "BatchNorm"), ("CHANNELS", 0)]
)
def test_bad_values_are_refused(key, value):
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK[key] = "FPN", value
    with pytest.raises(ConfigError, match=rf"MODEL\.NECK\.{key}"):
        build_neck(cfg, make_shapes([2, 3, 4]))


@pytest.mark.detectron2
def test_equals_detectron2():
    """Its pyramid with our weights gives our maps."""
    pytest.importorskip("detectron2")
    from detectron2.modeling.backbone import FPN as Peer
    from detectron2.modeling.backbone import Backbone
    from detectron2.modeling.backbone.fpn import LastLevelMaxPool

    class Maps(Backbone):
        def __init__(self, maps):
            super().__init__()
            self.maps = maps

        def forward(self, images):
            return self.maps

        def output_shape(self):
            from detectron2.layers import ShapeSpec as PeerShapeSpec

            return {
                name: PeerShapeSpec(channels=m.shape[1], stride=int(name[1:]))
                for name, m in self.maps.items()
            }

    maps = {f"c{s}": torch.randn(2, s, 64 // s, 96 // s) for s in STRIDES}
    peer = Peer(Maps(maps), list(maps), 7, top_block=LastLevelMaxPool())
    neck = FPN(
        input_shape=make_shapes(STRIDES),
        in_strides=STRIDES,
        channels=7,
        top_block=SubsampledTopBlock,
    )
    for ours, theirs in ((neck.lateral_convs, "lateral"), (neck.output_convs, "output")):
        for level, (conv, _) in enumerate(ours, start=3):
            conv.load_state_dict(getattr(peer, f"fpn_{theirs}{level}").state_dict())
    for found, expected in zip(neck(maps).values(), peer(None).values(), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("strides", [[], [8, 32]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match="each twice the one before"):
        FPN(input_shape=make_shapes([2, 3, 4]), in_strides=strides, channels=4)


def test_has_no_activation():
    neck = FPN(input_shape=make_shapes([2, 3, 4]), in_strides=STRIDES, channels=4)
    kinds = {type(module) for module in neck.modules() if not list(module.children())}
    assert kinds <= {nn.Conv2d, nn.Identity, type(neck.top_block)}
