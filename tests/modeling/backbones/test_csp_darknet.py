import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling.backbones import CSPDarknet
from yolov7.utils.errors import ConfigError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("stem_channels", "num_blocks", "depthwise", "parameters"),
    [(16, 1, True, 459_968), (24, 1, False, 2_372_304), (32, 1, False, 4_212_672)]
    + [(48, 2, False, 12_352_992), (64, 3, False, 27_075_968), (80, 4, False, 50_301_600)],
)
def test_parameters_of_the_published_sizes(stem_channels, num_blocks, depthwise, parameters):
    with torch.device("meta"):
        backbone = CSPDarknet(
            stem_channels=stem_channels, num_blocks=num_blocks, depthwise=depthwise
        )
    assert count(backbone) == parameters


def test_stages_after_the_last_one_asked_for_are_not_built():
    backbone = CSPDarknet(stem_channels=4, num_blocks=1, out_features=("dark4", "dark2"))
    assert list(backbone.output_shape()) == ["dark2", "dark4"]
    assert backbone.size_divisibility == 16
    assert not hasattr(backbone, "dark5")
    assert list(backbone(torch.zeros(1, 3, 32, 32))) == ["dark2", "dark4"]


def test_only_the_last_stage_has_pooling_and_no_shortcut():
    backbone = CSPDarknet(stem_channels=4, num_blocks=1)
    assert [len(stage) for stage in (backbone.dark2, backbone.dark3, backbone.dark5)] == [2, 2, 3]
    assert [backbone.get_submodule(f"dark{n}")[-1].blocks[0].shortcut for n in (2, 3, 4, 5)] == [
        True,
        True,
        True,
        False,
    ]
    assert [len(backbone.get_submodule(f"dark{n}")[-1].blocks) for n in (2, 3, 4, 5)] == [
        1,
        3,
        3,
        1,
    ]


def test_from_config_takes_the_strides_of_the_neck():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.NECK.IN_STRIDES = [4, 8]
    backbone = CSPDarknet(cfg, ShapeSpec(channels=1))
    assert backbone.output_shape() == {
        "dark2": ShapeSpec(channels=16, stride=4),
        "dark3": ShapeSpec(channels=32, stride=8),
    }
    assert backbone(torch.zeros(1, 1, 8, 16))["dark3"].shape == (1, 32, 1, 2)


def test_wrong_names_and_strides():
    with pytest.raises(ConfigError, match=r"dark2, dark3, dark4, dark5; asked for: res5"):
        CSPDarknet(stem_channels=4, num_blocks=1, out_features=("dark3", "res5"))
    cfg = get_config()
    cfg.MODEL.NECK.IN_STRIDES = [32, 64]
    with pytest.raises(ConfigError, match=r"IN_STRIDES: .*stride 4, 8, 16, 32, not 64"):
        CSPDarknet(cfg, ShapeSpec(channels=3))


def test_initialisation_is_pytorchs():
    """Kaiming-uniform with a=√5: weights within ±1/√fan, variance a third of that squared."""
    torch.manual_seed(0)
    weight = CSPDarknet(stem_channels=16, num_blocks=1).dark4[0].conv.weight
    bound = (weight[0].numel()) ** -0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
