import pytest
import torch
from torch import nn

from yolov7.analysis import count_parameters
from yolov7.config import get_config
from yolov7.layers import DeformConv2d
from yolov7.modeling.backbones import TimmBackbone, timm_backbone
from yolov7.modeling.reparameterization import relative_difference, reparameterized_copy
from yolov7.utils.errors import ConfigError


def test_where_it_is_deformable_and_what_it_costs():
    """Three convolutions from 512 channels, 27 numbers each; the other names stay."""
    with torch.device("meta"):
        plain, ours = (
            TimmBackbone(name="resnet50d", deformable=deformable) for deformable in (False, True)
        )
    paths = [n for n, module in ours.named_modules() if isinstance(module, DeformConv2d)]
    assert paths == [f"body.layer4.{block}.conv2" for block in range(3)]
    assert count_parameters(ours) - count_parameters(plain) == 3 * (512 * 27 * 9 + 27)
    added = set(ours.state_dict()) - set(plain.state_dict())
    assert added == {f"{path}.offsets.{kind}" for path in paths for kind in ("weight", "bias")}


@pytest.mark.parametrize("name", ["resnet18d", "res2net50_26w_4s"])
def test_others_and_dilated_stages(name):
    backbone = TimmBackbone(name=name, strides=[8, 16], output_stride=16, deformable=True)
    found = [m for m in backbone.modules() if isinstance(m, DeformConv2d)]
    assert found and all(conv.dilation == conv.offsets.dilation for conv in found)
    with torch.no_grad():
        assert backbone.eval()(torch.randn(1, 3, 64, 72))["c5"].shape[-2:] == (4, 5)


def test_deploys_equal_with_all_batch_norms_folded():
    torch.manual_seed(0)
    backbone = TimmBackbone(name="resnet18d", deformable=True)
    for module in backbone.modules():
        if isinstance(module, DeformConv2d):
            nn.init.normal_(module.offsets.weight, std=0.05)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    smaller = reparameterized_copy(backbone)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in smaller.modules())
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        outputs = [each.eval().double()(x) for each in (smaller, backbone)]
    assert 0.0 < relative_difference(*outputs) < 1e-5


def test_pretrained_weights_load_around_the_offsets(monkeypatch):
    backbone = TimmBackbone(name="resnet18d", deformable=True, pretrained=True)
    published = TimmBackbone(name="resnet18d").body.state_dict()
    monkeypatch.setattr(timm_backbone, "pretrained_state", lambda **_: published)
    backbone.initialize_weights()
    state = backbone.body.state_dict()
    assert all(torch.equal(state[name], value) for name, value in published.items())
    assert {float(v.abs().max()) for n, v in state.items() if ".offsets." in n} == {0.0}


def test_is_built_from_its_key_and_mistakes_are_told():
    cfg = get_config()
    cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.DEFORMABLE_C5 = "resnet18d", True
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    shape = type("Shape", (), {"channels": 3})()
    with torch.device("meta"):
        built = TimmBackbone(cfg, shape)
        assert any(isinstance(module, DeformConv2d) for module in built.modules())
        cfg.MODEL.NECK.IN_STRIDES = [8, 16]
        with pytest.raises(ConfigError, match=r"DEFORMABLE_C5.*resnet18d is c4"):
            TimmBackbone(cfg, shape)
        cfg.MODEL.NECK.IN_STRIDES, cfg.MODEL.TIMM.NAME = [8, 32], "convnext_atto"
        with pytest.raises(ConfigError, match=r"DEFORMABLE_C5.*convnext_atto has no 3x3"):
            TimmBackbone(cfg, shape)
