from __future__ import annotations

import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import build_neck
from yolov7.modeling.necks import DilatedEncoder
from yolov7.modeling.necks.dilated_encoder import DilatedBlock
from yolov7.utils.errors import ConfigError

SHAPE = {"c4": ShapeSpec(channels=6, stride=16), "c5": ShapeSpec(channels=10, stride=32)}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("channels", "dilations", "parameters"),
    [(2048, (2, 4, 6, 8), 4_534_272), (1024, range(1, 9), 5_133_312)],
)
def test_parameters_are_the_authors(channels: int, dilations, parameters: int) -> None:
    with torch.device("meta"):
        neck = DilatedEncoder(
            input_shape={"c5": ShapeSpec(channels=channels, stride=32)},
            in_strides=[32],
            dilations=dilations,
        )
    assert count(neck) == parameters


def test_a_block_looks_as_far_as_its_dilation_and_adds_what_it_sees_after_the_activation() -> None:
    block = DilatedBlock(1, hidden_channels=1, dilation=3, norm=nn.Identity, activation=nn.ReLU)
    for conv in (block.conv1.conv, block.conv2.conv, block.conv3.conv):
        nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 4] = 2.0
    x[0, 0, 0, 0] = -5.0
    found = block(x)[0, 0]
    assert [place for place in found.nonzero().tolist() if place != [0, 0]] == [
        [row, column] for row in (1, 4, 7) for column in (1, 4, 7)
    ]
    # 2 + 2 in the middle; what is negative stays: nothing follows the sum.
    assert (found[4, 4], found[1, 7], found[0, 0]) == (4.0, 2.0, -5.0)


def test_the_map_of_the_stride_is_taken_and_keeps_its_size() -> None:
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.CHANNELS = "DilatedEncoder", 8
    cfg.MODEL.NECK.IN_STRIDES, cfg.MODEL.YOLOF.HIDDEN_CHANNELS = [16], 4
    neck = build_neck(cfg, SHAPE)
    assert neck.output_shape() == {"p4": ShapeSpec(channels=8, stride=16)}
    maps = {"c4": torch.randn(2, 6, 5, 7), "c5": torch.randn(2, 10, 3, 4)}
    assert neck(maps)["p4"].shape == (2, 8, 5, 7)
    neck(maps)["p4"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in neck.parameters())
    norms = [module for module in neck.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}


def test_there_is_no_activation_before_the_blocks() -> None:
    neck = DilatedEncoder(input_shape=SHAPE, in_strides=[32], channels=4, dilations=())
    assert neck.eval()({"c5": torch.randn(1, 10, 4, 4)})["p5"].min() < 0


def test_several_strides_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"IN_STRIDES: expected one stride for DilatedEncoder"):
        DilatedEncoder(input_shape=SHAPE, in_strides=[16, 32])
