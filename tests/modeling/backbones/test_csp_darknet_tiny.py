import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import ConvNormAct
from yolov7.modeling.backbones import CSPDarknetTiny
from yolov7.modeling.backbones.csp_darknet_tiny import PartialStage
from yolov7.utils.errors import ConfigError


def test_a_stage_by_hand():
    """Channels 2 and 3 of the first convolution go on; the pool takes both halves."""
    stage = PartialStage(4, norm=nn.Identity, activation=nn.Identity)
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.zero_()
        for channel in range(4):
            stage.conv1.conv.weight[channel, channel, 1, 1] = 1.0
        for channel in range(2):
            stage.conv2.conv.weight[channel, channel, 1, 1] = 2.0
            stage.conv3.conv.weight[channel, channel, 1, 1] = 5.0
        # output channel i is input channel i of what is joined
        stage.mix.conv.weight.copy_(torch.eye(4)[..., None, None])
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1) + torch.tensor([[0.0, 0.5], [0.1, 0.2]])
    made, following = stage(x)
    # conv3 of conv2 first, then conv2
    assert torch.allclose(made[0, :, 0, 0], torch.tensor([30.0, 40.0, 6.0, 8.0]))
    # largest of the four places; the whole first convolution, then what was made
    expected = torch.tensor([1.5, 2.5, 3.5, 4.5, 35.0, 45.0, 7.0, 9.0])
    assert torch.allclose(following.flatten(), expected)


def test_parameters_of_the_networks_file():
    """Layers 0 to 26 of YOLOv4-tiny's file, by hand: inputs, outputs, side of the kernel."""
    convs = [(3, 32, 3), (32, 64, 3)]
    for c in (64, 128, 256):
        convs += [(c, c, 3), (c // 2, c // 2, 3), (c // 2, c // 2, 3), (c, c, 1)]
    convs += [(512, 512, 3)]
    with torch.device("meta"):
        backbone = CSPDarknetTiny()
    found = [
        (conv.in_channels, conv.out_channels, conv.kernel_size[0])
        for conv in backbone.modules()
        if isinstance(conv, nn.Conv2d)
    ]
    assert found == convs
    expected = sum(before * after * side**2 + 2 * after for before, after, side in convs)
    assert sum(p.numel() for p in backbone.parameters()) == expected
    units = [module for module in backbone.modules() if isinstance(module, ConvNormAct)]
    assert {unit.norm.eps for unit in units} == {1e-5}
    assert {unit.act.negative_slope for unit in units} == {0.1}


def test_maps_are_what_the_stages_made():
    backbone = CSPDarknetTiny(stem_channels=2, out_features=("dark5", "dark2")).eval()
    images = torch.randn(1, 3, 64, 32)
    found = backbone(images)
    made, following = backbone.dark2(backbone.stem(images))
    assert torch.equal(found["dark2"], made)
    for stage in (backbone.dark3, backbone.dark4):
        _, following = stage(following)
    assert torch.equal(found["dark5"], backbone.dark5(following))
    assert backbone.output_shape() == {
        "dark2": ShapeSpec(channels=4, stride=4),
        "dark5": ShapeSpec(channels=32, stride=32),
    }


def test_from_config():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.NECK.IN_STRIDES = 0.25, [16, 8]
    cfg.MODEL.DARKNET.ACTIVATION, cfg.MODEL.DARKNET.BN_EPSILON = "mish", 1e-4
    backbone = CSPDarknetTiny(cfg, ShapeSpec(channels=1))
    assert backbone.output_shape() == {
        "dark3": ShapeSpec(channels=32, stride=8),
        "dark4": ShapeSpec(channels=64, stride=16),
    }
    assert not hasattr(backbone, "dark5")
    assert isinstance(backbone.stem[0].act, nn.Mish) and backbone.stem[0].norm.eps == 1e-4
    assert backbone(torch.zeros(1, 1, 32, 48))["dark4"].shape == (1, 64, 2, 3)
    cfg.MODEL.NECK.IN_STRIDES = [2]
    with pytest.raises(ConfigError, match=r"IN_STRIDES: CSPDarknetTiny has .* 16, 32, not 2"):
        CSPDarknetTiny(cfg, ShapeSpec(channels=3))
