from __future__ import annotations

import pytest
import torch

from yolov7.config import get_config
from yolov7.modeling import build_backbone
from yolov7.modeling.backbones.stages import stages_of_strides
from yolov7.utils.errors import ConfigError

STAGES = {"dark3": 8, "dark4": 16, "dark5": 32}


def test_stages_in_their_order() -> None:
    assert stages_of_strides([32, 8], STAGES, backbone="X") == ["dark3", "dark5"]


@pytest.mark.parametrize(("strides", "named"), [([8, 64], "64"), ([], "none")])
def test_strides_that_are_not_there_and_none_at_all(strides, named) -> None:
    with pytest.raises(ConfigError, match=rf"IN_STRIDES: X has maps of .*8, 16, 32, not {named}"):
        stages_of_strides(strides, STAGES, backbone="X")


def small_backbone(name: str, freeze_at: int):
    cfg = get_config()
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.FREEZE_AT = name, freeze_at
    cfg.MODEL.NECK.IN_STRIDES = [4, 8, 16]
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.RESNETS.NORM = "BN"
    for widths in ("CHANNELS", "HIDDEN_CHANNELS", "TRANSITION_CHANNELS"):
        cfg.MODEL.ELAN[widths] = [64, 64, 64, 64]
    return build_backbone(cfg)


NAMES = ["CSPDarknet", "CSPDarknet53", "CSPDarknetTiny", "Darknet", "ELANNet", "ResNet"]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_frozen_is_what_leads_to_a_map(name: str, level: int) -> None:
    """What autograd finds on the way to the map of stride 2^level, the stem at least; else all."""
    torch.manual_seed(0)
    free = small_backbone(name, 0)
    strides = {shape.stride: map_name for map_name, shape in free.output_shape().items()}
    expected = set()
    if level:
        maps = free(torch.randn(2, 3, 64, 64))
        if 2**level in strides:
            maps[strides[2**level]].square().sum().backward()
            expected = {n for n, p in free.named_parameters() if p.grad is not None}
        stems = ("stem.", "dark1.")
        expected |= {n for n, _ in free.named_parameters() if n.startswith(stems)}
    backbone = small_backbone(name, level).train()
    assert {n for n, p in backbone.named_parameters() if not p.requires_grad} == expected
    before = {n: value.clone() for n, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    frozen = tuple(f"{n.rpartition('.')[0]}." for n in expected)
    for entry, value in backbone.state_dict().items():
        if entry.endswith("running_mean"):
            assert torch.equal(value, before[entry]) == entry.startswith(frozen), entry


def test_places_that_are_none_and_random_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"FREEZE_AT: expected 0 to 4 for Darknet .*, got 5"):
        small_backbone("Darknet", 5)
    with pytest.raises(ConfigError, match=r"FREEZE_AT: parts of Darknet .* give MODEL.WEIGHTS, or"):
        small_backbone("Darknet", 2).initialize_weights()
    small_backbone("Darknet", 0).initialize_weights()
