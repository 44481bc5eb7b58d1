from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import FrozenBatchNorm2d
from yolov7.modeling import build_backbone
from yolov7.modeling.backbones import ResNet
from yolov7.utils.errors import ConfigError

SMALL = {"stage_blocks": (1, 2, 1, 2), "stem_channels": 4, "res2_channels": 8}
SMALL |= {"width_per_group": 2, "norm": nn.BatchNorm2d}


def config(*overrides: object):
    cfg = get_config()
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.NECK.IN_STRIDES = "ResNet", [32]
    cfg.merge_from_list(list(overrides))
    return cfg


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("overrides", "parameters", "frozen"),
    [
        ((), 23_454_912, 222_400),
        (("MODEL.RESNETS.DEPTH", 101), 42_394_816, 222_400),
        (("MODEL.RESNETS.DEPTH", 101, "MODEL.RESNETS.NUM_GROUPS", 64,
          "MODEL.RESNETS.WIDTH_PER_GROUP", 4, "MODEL.RESNETS.STRIDE_IN_1X1", False),
         81_203_392, 397_504),
    ],
)  # fmt: skip
def test_parameters_are_detectron2s(overrides, parameters: int, frozen: int) -> None:
    """Those of YOLOF's backbones, without frozen norms, and what FREEZE_AT 2 takes away."""
    with torch.device("meta"):
        backbone = build_backbone(config("MODEL.DEVICE", "meta", *overrides))
    total = sum(p.numel() for p in backbone.parameters())
    assert (total, total - trainable(backbone)) == (parameters, frozen)


def test_maps_of_any_size_of_image() -> None:
    backbone = ResNet(**SMALL)
    assert backbone.size_divisibility == 0
    shapes = {name: tuple(x.shape) for name, x in backbone(torch.randn(2, 3, 65, 100)).items()}
    assert shapes == {"res3": (2, 16, 9, 13), "res4": (2, 32, 5, 7), "res5": (2, 64, 3, 4)}
    assert backbone.output_shape()["res4"] == ShapeSpec(channels=32, stride=16)


def test_a_dilated_last_stage_keeps_the_resolution() -> None:
    backbone = ResNet(**SMALL, res5_dilation=2, out_features=["res5"])
    assert backbone.output_shape() == {"res5": ShapeSpec(channels=64, stride=16)}
    assert backbone(torch.randn(1, 3, 64, 96))["res5"].shape == (1, 64, 4, 6)
    dilations = [block.conv2.conv.dilation for block in backbone.res5]
    assert dilations == [(2, 2), (2, 2)]
    assert backbone.res4[0].conv2.conv.dilation == (1, 1)


@pytest.mark.parametrize(("in_1x1", "expected"), [(True, (2, 1)), (False, (1, 2))])
def test_where_a_stage_strides(in_1x1: bool, expected: tuple[int, int]) -> None:
    backbone = ResNet(**SMALL, stride_in_1x1=in_1x1)
    block = backbone.res3[0]
    assert (block.conv1.conv.stride[0], block.conv2.conv.stride[0]) == expected
    assert block.shortcut.conv.stride[0] == 2
    assert backbone.res3[1].conv1.conv.stride[0] == 1
    assert isinstance(backbone.res3[1].shortcut, nn.Identity)


def test_a_block_by_hand() -> None:
    """Ones everywhere on a single pixel: relu(shortcut + conv3(relu(conv2(relu(conv1))))).

    The 3x3 convolution meets the pixel alone, the rest is padding; -3 stays -3 in the shortcut and
    is cut in the branch.
    """
    block = ResNet(**SMALL | {"res2_channels": 4, "norm": nn.Identity}).res2[0]
    assert isinstance(block.shortcut, nn.Identity)
    for conv in (block.conv1.conv, block.conv2.conv, block.conv3.conv):
        nn.init.ones_(conv.weight)
    x = torch.tensor([1.0, 2.0, -3.0, 1.0]).view(1, 4, 1, 1)
    # Their sum is 1, twice (two hidden channels) makes 2, twice again 4.
    assert block(x).flatten().tolist() == [5.0, 6.0, 1.0, 5.0]


def test_frozen_stages_do_not_move() -> None:
    backbone = ResNet(**SMALL, freeze_at=2).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    sum(x.sum() for x in backbone(torch.randn(2, 3, 64, 64)).values()).backward()
    for name, parameter in backbone.named_parameters():
        is_frozen = name.startswith(("stem.", "res2."))
        assert (parameter.grad is None) == is_frozen, name
    for name, value in backbone.state_dict().items():
        moved = not torch.equal(value, before[name])
        assert moved == ("running" in name and not name.startswith(("stem.", "res2."))) or (
            "num_batches" in name
        )


def test_folded_norms_give_the_same() -> None:
    torch.manual_seed(0)
    backbone = ResNet(**SMALL | {"norm": FrozenBatchNorm2d}).eval().double()
    for norm in backbone.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    expected = backbone(x)["res5"]
    for module in list(backbone.modules()):
        if hasattr(module, "to_deploy"):
            module.to_deploy()
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in backbone.modules())
    torch.testing.assert_close(backbone(x)["res5"], expected)


def test_random_weights_must_not_stay_frozen(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"FREEZE_AT: parts .* give MODEL\.WEIGHTS"):
        ResNet(**SMALL, freeze_at=1).initialize_weights()
    ResNet(**SMALL).initialize_weights()
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        ResNet(**SMALL | {"norm": FrozenBatchNorm2d}).initialize_weights()
    assert "Frozen batch norms of the ResNet do nothing" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.RESNETS.DEPTH", 18), "MODEL.RESNETS.DEPTH: expected one of 50, 101, 152, got 18"),
        (("MODEL.RESNETS.NORM", "GN"), "MODEL.RESNETS.NORM: there is no 'GN'"),
        (("MODEL.RESNETS.RES5_DILATION", 4), "MODEL.RESNETS.RES5_DILATION: expected 1 or 2, got 4"),
        (("MODEL.BACKBONE.FREEZE_AT", 6), "MODEL.BACKBONE.FREEZE_AT: expected 0 to 5"),
        (("MODEL.RESNETS.DEFORM_ON_PER_STAGE", [False, False, True, True]), "ResNet has none"),
        (("MODEL.RESNETS.RES5_DILATION", 2), "ResNet has maps of stride 4, 8, 16, 16, not 32"),
    ],
)
def test_mistakes_are_named(overrides, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(config(*overrides))
