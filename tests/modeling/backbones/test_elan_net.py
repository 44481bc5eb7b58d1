import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import TRANSITIONS, ConvStem, FocusStem
from yolov7.modeling.backbones import ELANNet
from yolov7.utils.errors import ConfigError


def make_backbone(**arguments):
    defaults = {
        "stem_channels": 4,
        "transitions": [TRANSITIONS["conv"], TRANSITIONS["mp"], TRANSITIONS["down_c"]],
        "transition_channels": [6, 8, 12],
        "channels": [8, 10, 14],
        "hidden_channels": [3, 4, 5],
        "num_convs": 2,
        "out_features": ("stage3", "stage4"),
    }
    return ELANNet(**{**defaults, **arguments})


def test_widths_and_strides():
    backbone = make_backbone(num_branches=2).eval()
    assert backbone.output_shape() == {
        "stage3": ShapeSpec(channels=10, stride=8),
        "stage4": ShapeSpec(channels=14, stride=16),
    }
    assert backbone.size_divisibility == 16
    seen = {}
    for name in ("stage2", "stage3", "stage4"):
        transition = backbone.get_submodule(name)[0]
        transition.register_forward_hook(
            lambda module, args, output, name=name: seen.update({name: tuple(output.shape)})
        )
    features = backbone(torch.zeros(2, 3, 32, 48))
    assert {name: tuple(each.shape) for name, each in features.items()} == {
        "stage3": (2, 10, 4, 6),
        "stage4": (2, 14, 2, 3),
    }
    assert seen == {"stage2": (2, 6, 8, 12), "stage3": (2, 8, 4, 6), "stage4": (2, 12, 2, 3)}


def test_stages_after_the_last_one_asked_for_are_not_built():
    backbone = make_backbone(out_features=("stage3", "stage2"))
    assert list(backbone.output_shape()) == ["stage2", "stage3"]
    assert not hasattr(backbone, "stage4")


def test_from_config_scales_transitions_and_depth_but_not_widths_inside():
    cfg = get_config()
    cfg.MODEL.NECK.IN_STRIDES = [4, 8]
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.25, 0.5
    cfg.MODEL.ELAN.STEM = "reorg"
    backbone = ELANNet(cfg, ShapeSpec(channels=1))
    assert isinstance(backbone.stem, FocusStem)
    assert backbone.output_shape() == {
        "stage2": ShapeSpec(channels=64, stride=4),
        "stage3": ShapeSpec(channels=128, stride=8),
    }
    transition, block = backbone.stage2
    assert (transition.conv.in_channels, transition.conv.out_channels) == (16, 32)
    assert len(block.convs) == 2
    assert {conv.conv.out_channels for conv in block.convs} == {64}
    assert backbone(torch.zeros(1, 1, 8, 16))["stage3"].shape == (1, 128, 1, 2)


def test_a_fourth_level_is_one_more_stage():
    cfg = get_config()
    elan = cfg.MODEL.ELAN
    for key in ("TRANSITIONS", "TRANSITION_CHANNELS", "CHANNELS", "HIDDEN_CHANNELS"):
        elan[key] = [*elan[key], elan[key][-1]]
    cfg.MODEL.NECK.IN_STRIDES = [8, 16, 32, 64]
    with torch.device("meta"):
        backbone = ELANNet(cfg, ShapeSpec(channels=3))
    assert backbone.size_divisibility == 64
    assert isinstance(backbone.stem, ConvStem)
    assert backbone.output_shape()["stage6"] == ShapeSpec(channels=1024, stride=64)


def test_wrong_values():
    with pytest.raises(ConfigError, match=r"3, 3, 2, 3 entries; expected one for each stage"):
        make_backbone(channels=[8, 10])
    with pytest.raises(ConfigError, match=r"TRANSITIONS\[1\]: max-pooling cannot turn 8 channels"):
        make_backbone(
            transitions=[TRANSITIONS["conv"], TRANSITIONS["pool"], TRANSITIONS["conv"]],
            transition_channels=[6, 10, 12],
        )
    with pytest.raises(ConfigError, match=r"stage2, stage3, stage4; asked for: dark3"):
        make_backbone(out_features=("dark3",))
    cfg = get_config()
    cfg.MODEL.ELAN.STEM = "focus"
    with pytest.raises(ConfigError, match=r"MODEL\.ELAN\.STEM: there is no 'focus'"):
        ELANNet(cfg, ShapeSpec(channels=3))
    cfg = get_config()
    cfg.MODEL.ELAN.TRANSITIONS = ["conv", "mp", "mpp", "mp"]
    with pytest.raises(ConfigError, match=r"MODEL\.ELAN\.TRANSITIONS: .*Did you mean 'mp'"):
        ELANNet(cfg, ShapeSpec(channels=3))
