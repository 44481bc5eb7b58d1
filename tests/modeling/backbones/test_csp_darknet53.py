import pytest
import timm
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import ConvNormAct
from yolov7.modeling.backbones import CSPDarknet53
from yolov7.modeling.backbones.csp_darknet53 import CrossStage
from yolov7.modeling.reparameterization import reparameterize
from yolov7.utils.errors import ConfigError


def random_entry(like):
    """Weights that keep the size of what goes through them; positive numbers for norms."""
    if like.ndim < 2:
        return torch.rand(like.shape).add(0.5).to(like.dtype)
    return torch.empty(like.shape).uniform_(-1, 1).mul((3 / like[0].numel()) ** 0.5)


def as_timms(state):
    """Our entries under timm's names: branches as one convolution, the shallow one first."""
    renamed = {}
    for name, value in state.items():
        name = name.replace(".norm.", ".bn.").replace("stem.", "stem_conv1.")
        if name.startswith("dark"):
            name = f"stages_{int(name[4]) - 1}{name[5:]}"
        for ours, theirs in (("down", "down"), ("after", "transition_b"), ("mix", "transition")):
            name = name.replace(f".{ours}.", f".conv_{theirs}.")
        if name.endswith("conv_transition.conv.weight"):
            value = torch.cat(value.chunk(2, dim=1)[::-1], dim=1)
        renamed[name] = value
    for name in [name for name in renamed if ".shallow." in name]:
        pair = [renamed.pop(name), renamed.pop(name.replace(".shallow.", ".deep."))]
        exp = name.replace(".shallow.", ".conv_exp.")
        renamed[exp] = torch.cat(pair) if pair[0].ndim else pair[0]
    return renamed


@pytest.fixture
def pair():
    """timm's network and ours, with the same random weights."""
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = timm.create_model("cspdarknet53", features_only=True)
        ours = CSPDarknet53(
            out_features=("dark1", "dark2", "dark3", "dark4", "dark5"),
            norm=nn.BatchNorm2d,
            activation=nn.LeakyReLU,
        )
    state = {name: random_entry(value) for name, value in ours.state_dict().items()}
    ours.eval().load_state_dict(state, assign=True)
    theirs.eval().load_state_dict(as_timms(state), assign=True)
    return theirs, ours


def test_features_are_those_of_timms(pair):
    theirs, ours = pair
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        found, expected = ours(images), theirs(images)
    assert list(found) == ["dark1", "dark2", "dark3", "dark4", "dark5"]
    for name, theirs_map in zip(found, expected[-5:], strict=True):
        difference = (found[name] - theirs_map).abs().max()
        assert difference < 1e-5 * theirs_map.abs().max(), name


def test_the_dilated_stage_keeps_weights_and_resolution():
    """Far from the border a flat map stays flat, whatever stride and dilation."""
    torch.manual_seed(0)
    plain, dilated = (CSPDarknet53(stem_channels=2, dilated_c5=x).eval() for x in (False, True))
    dilated.load_state_dict(plain.state_dict())
    assert dilated.output_shape()["dark5"] == ShapeSpec(channels=64, stride=16)
    assert dilated.size_divisibility == 16
    geometry = {
        (conv.kernel_size[0], conv.stride[0], conv.dilation[0], conv.padding[0])
        for conv in dilated.dark5.modules()
        if isinstance(conv, nn.Conv2d)
    }
    assert geometry == {(1, 1, 1, 0), (3, 1, 2, 2)}
    flat = torch.randn(1, 32, 1, 1).expand(1, 32, 24, 24)
    fine, coarse = dilated.dark5(flat), plain.dark5(flat)
    assert fine.shape[-2:] == (24, 24) and coarse.shape[-2:] == (12, 12)
    assert torch.allclose(fine[..., 12, 12], coarse[..., 6, 6], atol=1e-6)


def test_parameters_are_those_of_the_classifier_without_its_last_layer():
    """CSPDarknet-53 has 27,642,184 parameters with 1,000 classes (timm's list of results)."""
    with torch.device("meta"):
        backbone = CSPDarknet53()
    assert sum(p.numel() for p in backbone.parameters()) == 27_642_184 - 1025 * 1000


def test_a_stage_by_hand():
    """Branches that pass on channel 0 and 1; the block adds, the last convolution weighs."""
    stage = CrossStage(
        1, 2, branch_channels=1, num_blocks=1, stride=2, dilation=1,
        norm=nn.Identity, activation=nn.Identity,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.zero_()
        # channel 0: the pixel itself; channel 1: the one to its right
        stage.down.conv.weight[0, 0, 1, 1] = 1.0
        stage.down.conv.weight[1, 0, 1, 2] = 1.0
        stage.deep.conv.weight[0, 0] = 1.0
        stage.shallow.conv.weight[0, 1] = 1.0
        stage.blocks[0].conv1.conv.weight.fill_(2.0)
        stage.blocks[0].conv2.conv.weight[0, 0, 1, 1] = 3.0
        stage.after.conv.weight.fill_(10.0)
        stage.mix.conv.weight[0, 0] = 1.0
        stage.mix.conv.weight[1, 1] = 1.0
    found = stage(torch.tensor([[[[1.0, 5.0], [7.0, 8.0]]]]))
    # deep: 10 (x + 3·2·x) of the pixel, shallow: its neighbour
    assert found.flatten().tolist() == [70.0, 5.0]


def test_the_first_stage_is_not_halved():
    with torch.device("meta"):
        backbone = CSPDarknet53()
    widths = [backbone.get_submodule(f"dark{n}").deep.conv.out_channels for n in range(1, 6)]
    assert widths == [64, 64, 128, 256, 512]
    assert backbone.dark1.blocks[0].conv1.conv.out_channels == 32


def test_constants_are_darknets():
    with torch.device("meta"):
        backbone = CSPDarknet53(out_features=("dark2",))
    units = [module for module in backbone.modules() if isinstance(module, ConvNormAct)]
    assert {unit.norm.eps for unit in units} == {1e-5}
    assert {type(unit.act) for unit in units} == {nn.Mish}


def test_from_config():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.DARKNET.ACTIVATION, cfg.MODEL.DARKNET.BN_EPSILON = "leaky_relu", 1e-4
    cfg.MODEL.DARKNET.DILATED_C5, cfg.MODEL.NECK.IN_STRIDES = True, [16]
    backbone = CSPDarknet53(cfg, ShapeSpec(channels=1))
    assert backbone.output_shape() == {
        "dark4": ShapeSpec(channels=64, stride=16),
        "dark5": ShapeSpec(channels=128, stride=16),
    }
    stages = [backbone.get_submodule(f"dark{number}") for number in range(1, 6)]
    assert [len(stage.blocks) for stage in stages] == [0, 1, 3, 3, 1]
    unit = stages[0].down
    assert isinstance(unit.act, nn.LeakyReLU)
    assert (unit.norm.eps, unit.norm.momentum) == (1e-4, 0.03)
    assert backbone(torch.zeros(1, 1, 32, 48))["dark5"].shape == (1, 128, 2, 3)
    cfg.MODEL.NECK.IN_STRIDES = [32]
    with pytest.raises(ConfigError, match=r"IN_STRIDES: CSPDarknet53 has .* 8, 16, 16, not 32"):
        CSPDarknet53(cfg, ShapeSpec(channels=3))


def test_stages_after_the_last_one_asked_for_are_not_built():
    backbone = CSPDarknet53(stem_channels=2, out_features=("dark3", "dark1"))
    assert list(backbone.output_shape()) == ["dark1", "dark3"]
    assert not hasattr(backbone, "dark4")
    with pytest.raises(ConfigError, match=r"CSPDarknet53 has .* dark5; asked for: res5"):
        CSPDarknet53(out_features=("res5",))


@torch.no_grad()
def test_a_dilated_one_deploys_equal():
    torch.manual_seed(0)
    backbone = CSPDarknet53(stem_channels=4, stage_blocks=(1, 1, 1, 1, 1), dilated_c5=True)
    images = torch.randn(2, 3, 32, 64)
    backbone(images)
    backbone.eval()
    expected = backbone(images)["dark5"]
    deployed = reparameterize(backbone, probe=lambda model: model(images.double()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    assert torch.allclose(deployed(images)["dark5"], expected, atol=1e-5)
