from __future__ import annotations

import math

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import build_box_coder
from yolov7.modeling.box_coders import YOLOFBoxCoder
from yolov7.modeling.box_coders.yolof import corner_anchors
from yolov7.modeling.locations import cell_centers
from yolov7.utils.errors import ConfigError

PLACES = (torch.tensor([[80.0, 48.0]]), torch.tensor([32.0]), torch.tensor([[64.0, 128.0]]))


def decode(*deltas: float) -> list[float]:
    return YOLOFBoxCoder().decode(torch.tensor([deltas]), *PLACES)[0].tolist()


def test_an_anchor_lies_around_the_corner_of_its_cell() -> None:
    """Column 2, row 1 of stride 32: the corner is (64, 32)."""
    assert corner_anchors(*PLACES).tolist() == [[64.0, 32.0, 64.0, 128.0]]
    assert decode(0, 0, 0, 0) == [32.0, -32.0, 96.0, 96.0]


def test_a_box_by_hand() -> None:
    """A quarter of the width to the right, an eighth of the height up, twice as wide."""
    assert decode(0.25, -0.125, math.log(2), 0) == pytest.approx([16, -48, 144, 80])


def test_centres_move_32_pixels_at_most_and_sides_grow_62_times() -> None:
    boxes = decode(5, -5, 9, math.log(0.5))
    assert boxes == pytest.approx([96 - 32 * 62.5, -32, 96 + 32 * 62.5, 32])
    deltas = torch.tensor([[5.0, 0.1, 9.0, 0.1]], requires_grad=True)
    YOLOFBoxCoder().decode(deltas, *PLACES).square().sum().backward()
    assert (deltas.grad[0, [0, 2]] == 0).all()
    assert (deltas.grad[0, [1, 3]] != 0).all()


def test_encode_undoes_decode_within_the_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    centers, strides = cell_centers([(3, 4)], [16], num_anchors=2, dtype=torch.float64)
    anchors = torch.tensor([[16.0, 16.0], [64.0, 64.0]]).repeat_interleave(12, dim=0).double()
    deltas = torch.rand(5, 24, 4, generator=generator, dtype=torch.float64) - 0.5
    coder = YOLOFBoxCoder()
    boxes = coder.decode(deltas, centers, strides, anchors)
    torch.testing.assert_close(coder.encode(boxes, centers, strides, anchors), deltas)
    alone = torch.stack([coder.decode(image, centers, strides, anchors) for image in deltas])
    assert torch.equal(alone, boxes)
    assert coder.decode(deltas[:, :0], centers[:0], strides[:0], anchors[:0]).shape == (5, 0, 4)
    point = torch.full((1, 4), 7.0)
    assert coder.encode(point, *PLACES).isfinite().all()


def test_half_precision_is_raised_and_anchors_are_needed() -> None:
    assert YOLOFBoxCoder().decode(torch.zeros(1, 4).half(), *PLACES).dtype == torch.float32
    with pytest.raises(ValueError, match="YOLOFBoxCoder needs the anchors"):
        YOLOFBoxCoder().decode(torch.zeros(1, 4), *PLACES[:2])


def test_the_limit_comes_from_the_config() -> None:
    cfg = get_config()
    cfg.MODEL.BOX_CODER.MAX_SHIFT = 8.0
    shape = {"p5": ShapeSpec(channels=4, stride=32)}
    coder = build_box_coder(cfg, shape, default="YOLOFBoxCoder", with_anchors=True)
    assert coder.decode(torch.tensor([[1.0, 0, 0, 0]]), *PLACES)[0, 0] == 40.0
    cfg.MODEL.BOX_CODER.MAX_SHIFT = 0.0
    with pytest.raises(ConfigError, match=r"MODEL\.BOX_CODER\.MAX_SHIFT"):
        build_box_coder(cfg, shape, default="YOLOFBoxCoder", with_anchors=True)
