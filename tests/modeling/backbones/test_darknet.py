import pytest
import timm
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling.backbones import Darknet
from yolov7.utils.errors import ConfigError


def random_entry(like):
    """Weights that keep the size of what goes through them; positive numbers for norms."""
    if like.ndim < 2:
        return torch.rand(like.shape).add(0.5).to(like.dtype)
    return torch.empty(like.shape).uniform_(-1, 1).mul((3 / like[0].numel()) ** 0.5)


def test_features_are_those_of_timms_darknet53():
    """Another program's Darknet-53 of the same weights, which are given in the order of layers."""
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = timm.create_model("darknet53", features_only=True, out_indices=(1, 3, 4, 5))
        ours = Darknet(
            out_features=("dark1", "dark3", "dark4", "dark5"),
            norm=nn.BatchNorm2d,
            activation=nn.LeakyReLU,
        )
    weights = {name: random_entry(value) for name, value in theirs.state_dict().items()}
    theirs.eval().load_state_dict(weights, assign=True)
    same = dict(zip(ours.state_dict(), weights.values(), strict=True))
    ours.eval().load_state_dict(same, assign=True)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected, found = theirs(images), ours(images)
    for name, theirs_map in zip(found, expected, strict=True):
        difference = (found[name] - theirs_map).abs().max()
        assert difference < 1e-5 * theirs_map.abs().max(), name


@pytest.mark.parametrize(("depth", "blocks"), [(21, (1, 1, 2, 2, 1)), (53, (1, 2, 8, 8, 4))])
def test_depth_counts_the_convolutions(depth, blocks):
    cfg = get_config()
    cfg.MODEL.DARKNET.DEPTH = depth
    with torch.device("meta"):
        backbone = Darknet(cfg, ShapeSpec(channels=3))
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    # one more layer follows in a classifier
    assert len(convolutions) == depth - 1
    stages = [backbone.get_submodule(f"dark{number}") for number in range(1, 6)]
    assert tuple(len(stage) - 1 for stage in stages) == blocks


def test_parameters_are_those_of_the_classifier_without_its_last_layer():
    """Darknet-53 has 41,609,928 parameters with 1,000 classes (timm's list of results)."""
    with torch.device("meta"):
        backbone = Darknet()
    assert sum(p.numel() for p in backbone.parameters()) == 41_609_928 - 1025 * 1000


def test_a_residual_block_by_hand():
    """Squeeze 4 channels to 2 by a 1x1, back by a 3x3, add the input."""
    backbone = Darknet(
        stem_channels=2, stage_blocks=(1, 0, 0, 0, 0), out_features=("dark1",), norm=nn.Identity
    )
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
        backbone.stem.conv.weight[0, 0, 1, 1] = 1.0
        backbone.dark1[0].conv.weight[1, 0, 1, 1] = 1.0
        block = backbone.dark1[1]
        block.conv1.conv.weight[0, 1, 0, 0] = 3.0
        block.conv2.conv.weight[2, 0, 1, 2] = 1.0
    images = torch.zeros(1, 3, 4, 4)
    images[0, 0] = torch.arange(16.0).view(4, 4) - 8
    found = backbone(images)["dark1"]
    # every second pixel of the image, negative ones times 0.1 twice
    kept = torch.tensor([[-0.08, -0.06], [0.0, 2.0]])
    assert torch.allclose(found[0, 1], kept)
    # channel 2: three times the right neighbour, negative ones times 0.1 twice more
    assert torch.allclose(found[0, 2], torch.tensor([[-0.06 * 3 * 0.01, 0.0], [6.0, 0.0]]))
    assert not found[0, [0, 3]].any()


def test_stages_after_the_last_one_asked_for_are_not_built():
    backbone = Darknet(stem_channels=2, out_features=("dark3", "dark1"))
    assert list(backbone.output_shape()) == ["dark1", "dark3"]
    assert backbone.size_divisibility == 8
    assert not hasattr(backbone, "dark4")
    assert list(backbone(torch.zeros(1, 3, 16, 16))) == ["dark1", "dark3"]


def test_from_config_takes_multipliers_and_the_strides_of_the_neck():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.NECK.IN_STRIDES = [4, 16]
    backbone = Darknet(cfg, ShapeSpec(channels=1))
    assert backbone.output_shape() == {
        "dark2": ShapeSpec(channels=16, stride=4),
        "dark4": ShapeSpec(channels=64, stride=16),
    }
    assert [len(backbone.get_submodule(f"dark{number}")) - 1 for number in range(1, 5)] == [
        0, 1, 3, 3,
    ]  # fmt: skip
    assert backbone(torch.zeros(1, 1, 16, 32))["dark4"].shape == (1, 64, 1, 2)


def test_wrong_names_strides_and_depths():
    with pytest.raises(ConfigError, match=r"Darknet has .* dark4, dark5; asked for: res5"):
        Darknet(out_features=("dark3", "res5"))
    cfg = get_config()
    cfg.MODEL.NECK.IN_STRIDES = [32, 64]
    with pytest.raises(ConfigError, match=r"IN_STRIDES: Darknet has .* 2, 4, 8, 16, 32, not 64"):
        Darknet(cfg, ShapeSpec(channels=3))
    cfg.MODEL.NECK.IN_STRIDES, cfg.MODEL.DARKNET.DEPTH = [8], 19
    with pytest.raises(ConfigError, match=r"MODEL\.DARKNET\.DEPTH: .* 21, 53, not 19"):
        Darknet(cfg, ShapeSpec(channels=3))
