import math

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ImageList, ShapeSpec
from yolov7.layers import ImplicitConv, RepConv
from yolov7.modeling.heads import AnchorHead
from yolov7.utils.errors import ConfigError

SHAPES = {"p4": ShapeSpec(channels=6, stride=16), "p3": ShapeSpec(channels=4, stride=8)}
ANCHORS = [[[10, 12], [20.5, 8]], [[40, 30], [50, 90]]]


def make_head(**arguments):
    defaults = {
        "input_shape": SHAPES,
        "num_classes": 3,
        "anchors": ANCHORS,
        "channels": [8, 10],
    }
    return AnchorHead(**{**defaults, **arguments}).eval()


def make_inputs():
    features = {"p3": torch.randn(2, 4, 4, 6), "p4": torch.randn(2, 6, 2, 3)}
    return features, ImageList(torch.zeros(2, 3, 32, 48), [(32, 48)] * 2)


def test_order_is_level_anchor_row_column():
    head = make_head(around_predictor=ImplicitConv)
    features, images = make_inputs()
    found = head(features, images)
    assert found.level_sizes == ((4, 6), (2, 3))
    assert found.class_logits.shape == (2, 60, 3)
    assert found.num_anchors == 2
    # Anchor 1, row 2, column 5 of the finer level, whatever order the dict has.
    maps = head.predictors[0](head.pre_convs[0](features["p3"]))
    index, values = 24 + 2 * 6 + 5, maps[1, 8:, 2, 5]
    assert torch.equal(found.box_deltas[1, index], values[:4])
    assert torch.equal(found.objectness_logits[1, index], values[4])
    assert torch.equal(found.class_logits[1, index], values[5:])
    assert found.centers[index].tolist() == [44.0, 20.0]
    assert found.anchors[index].tolist() == [20.5, 8.0]
    # Anchor 0, row 1, column 0 of the coarser one.
    maps = head.predictors[1](head.pre_convs[1](features["p4"]))
    index = 48 + 3
    assert torch.equal(found.box_deltas[0, index], maps[0, :4, 1, 0])
    assert found.centers[index].tolist() == [8.0, 24.0]
    assert found.anchors[index].tolist() == [40.0, 30.0]
    assert found.strides.tolist() == [8.0] * 48 + [16.0] * 12


def test_biases_of_the_untrained_head():
    """Added to PyTorch's own, which lie within ±1/√width of 0."""
    for classes, rare in ((80, -4.88040), (1, math.log(60))):
        head = make_head(num_classes=classes, channels=[10_000, 10_000])
        for predictor, few in zip(head.predictors, (-6.68461, -5.29832), strict=True):
            by_anchor = predictor.bias.detach().view(2, -1)
            assert by_anchor[:, :4].abs().max() <= 0.01
            assert by_anchor[:, 4].tolist() == pytest.approx([few] * 2, abs=0.0101)
            assert by_anchor[0, 5:].tolist() == pytest.approx([rare] * classes, abs=0.0101)


def test_a_batch_is_its_images():
    head = make_head()
    features, images = make_inputs()
    together = head(features, images)
    for index in range(2):
        alone = head({name: x[index : index + 1] for name, x in features.items()}, images)
        assert torch.allclose(together.class_logits[index], alone.class_logits[0], atol=1e-6)
        assert torch.allclose(together.box_deltas[index], alone.box_deltas[0], atol=1e-6)


def test_anchors_belong_to_the_config_and_follow_the_model():
    head = make_head()
    assert not any("anchors" in name for name in head.state_dict())
    features, images = make_inputs()
    features = {name: x.double() for name, x in features.items()}
    found = head.double()(features, images)
    assert found.anchors.dtype == found.centers.dtype == torch.float64
    half = head.bfloat16()({name: x.bfloat16() for name, x in features.items()}, images)
    assert half.box_deltas.dtype == torch.bfloat16
    assert half.centers.dtype == half.anchors.dtype == torch.float32


@pytest.mark.parametrize("cast", ["half", "bfloat16", "double", "float"])
def test_a_cast_does_not_round_the_anchors(cast):
    """459 has more than the 8 bits of bfloat16, 100.3 more than the 11 of half precision."""
    sizes = [[[100.3, 459]], [[2049, 70]]]
    head = make_head(anchors=sizes)
    getattr(head, cast)()
    assert head.anchors.dtype == torch.float32
    assert head.anchors.flatten().tolist() == pytest.approx([100.3, 459, 2049, 70], rel=1e-7)
    head.to("meta").to_empty(device="cpu")
    assert head.anchors.flatten().tolist() == pytest.approx([100.3, 459, 2049, 70], rel=1e-7)


def test_from_config():
    cfg = get_config()
    shapes = {f"p{n}": ShapeSpec(channels=2 * n, stride=2**n) for n in (5, 4, 3)}
    head = AnchorHead(cfg, shapes)
    assert all(isinstance(conv, RepConv) for conv in head.pre_convs)
    assert all(isinstance(each, ImplicitConv) for each in head.predictors)
    assert [each.conv.in_channels for each in head.predictors] == [12, 16, 20]
    assert head.anchors[2, 1].tolist() == [192.0, 243.0]
    cfg.MODEL.AUXILIARY_HEAD.CHANNELS = [8, 16, 24]
    cfg.MODEL.YOLO.WIDTH_MUL = 1.5
    auxiliary = AnchorHead.auxiliary(cfg, shapes)
    assert all(type(each) is nn.Conv2d for each in auxiliary.predictors)
    assert [each.in_channels for each in auxiliary.predictors] == [12, 24, 36]
    assert not any(isinstance(module, RepConv) for module in auxiliary.modules())
    cfg.MODEL.AUXILIARY_HEAD.CHANNELS = [8]
    with pytest.raises(ConfigError, match=r"expected 3 widths, one for each of p5, p4, p3, got"):
        AnchorHead.auxiliary(cfg, shapes)
    cfg.MODEL.HEAD.PRE_CONV = "repconv"
    with pytest.raises(ConfigError, match=r"MODEL\.HEAD\.PRE_CONV: .*Did you mean 'rep_conv'"):
        AnchorHead(cfg, shapes)


@pytest.mark.parametrize(
    "anchors",
    [
        ANCHORS[:1],
        [ANCHORS[0], ANCHORS[1][:1]],
        [[], []],
        [[[10]], [[20]]],
        [[[10, 0]], [[20, 5]]],
    ],
)
def test_anchors_that_do_not_fit(anchors):
    with pytest.raises(ConfigError, match=r"ANCHORS: expected for each of the strides \[8, 16\]"):
        make_head(anchors=anchors)


def test_wrong_values():
    with pytest.raises(ConfigError, match="CLASSES: expected at least 1, got 0"):
        make_head(num_classes=0)
    with pytest.raises(ConfigError, match="expected one width for each of the strides"):
        make_head(channels=[8])


def test_the_layers_that_a_config_asks_for():
    cfg = get_config()
    cfg.MODEL.YOLO.ANCHORS = ANCHORS
    cfg.MODEL.HEAD.PRE_CONV = "conv"
    head = AnchorHead(cfg, SHAPES)
    # Twice as wide as the neck's maps, with the ELAN nets' activation and YOLOX's epsilon.
    assert [conv.conv.out_channels for conv in head.pre_convs] == [8, 12]
    assert isinstance(head.pre_convs[0].act, nn.SiLU)
    assert head.pre_convs[0].norm.eps == 1e-3
    # YOLOv4-tiny's: the map of 384 channels is narrowed, that of 256 widened.
    cfg.MODEL.HEAD.LEVEL_CHANNELS = [256, 512]
    cfg.MODEL.YOLO.WIDTH_MUL = 0.0625
    cfg.MODEL.HEAD.ACTIVATION = "leaky_relu"
    cfg.MODEL.HEAD.BN_EPSILON = 1e-5
    head = AnchorHead(cfg, SHAPES)
    assert [conv.conv.out_channels for conv in head.pre_convs] == [16, 32]
    assert isinstance(head.pre_convs[0].act, nn.LeakyReLU)
    assert head.pre_convs[0].norm.eps == 1e-5
