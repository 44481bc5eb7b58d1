from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import build_box_coder
from yolov7.modeling.box_coders import YOLOv4BoxCoder, YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.utils.errors import ConfigError

LEVELS = {"p3": ShapeSpec(channels=4, stride=8), "p4": ShapeSpec(channels=4, stride=16)}


def test_a_box_of_each_level_by_hand() -> None:
    """Darknet's formula from the corners: (column + k·σ - (k - 1)/2)·stride, e^t·anchor."""
    coder = YOLOv4BoxCoder(scale_xy=[1.2, 1.05], strides=[8, 16])
    # Column 2, row 1 of stride 8; column 3, row 0 of stride 16. Sigmoids 0.75 and 0.5.
    centers, strides = torch.tensor([[20.0, 12.0], [56.0, 8.0]]), torch.tensor([8.0, 16.0])
    anchors = torch.tensor([[12.0, 16.0], [30.0, 10.0]])
    deltas = torch.tensor([[math.log(3), 0.0, math.log(2), 0.0]] * 2)
    boxes = coder.decode(deltas, centers, strides, anchors)
    first_x, second_x = (2 + 1.2 * 0.75 - 0.1) * 8, (3 + 1.05 * 0.75 - 0.025) * 16
    expected = [
        [first_x - 12, 12.0 - 8, first_x + 12, 12.0 + 8],
        [second_x - 30, 8.0 - 5, second_x + 30, 8.0 + 5],
    ]
    torch.testing.assert_close(boxes, torch.tensor(expected))
    torch.testing.assert_close(coder.encode(boxes, centers, strides, anchors), deltas)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-8, 8)] * 4), min_size=26, max_size=26))
def test_encode_undoes_decode(rows: list[tuple[float, ...]]) -> None:
    centers, strides = cell_centers([(2, 5), (1, 3)], [8, 32], num_anchors=2, dtype=torch.float64)
    anchors = torch.rand(26, 2, generator=torch.Generator().manual_seed(0)).double() * 90 + 10
    deltas = torch.tensor(rows, dtype=torch.float64)
    coder = YOLOv4BoxCoder(scale_xy=[1.2, 1.0], strides=[8, 32])
    boxes = coder.decode(deltas, centers, strides, anchors)
    found = coder.encode(boxes, centers, strides, anchors)
    torch.testing.assert_close(found, deltas, atol=1e-6, rtol=0)


def test_no_boxes_and_a_batch_is_its_images() -> None:
    coder, none = YOLOv4BoxCoder(scale_xy=[1.1], strides=[8]), torch.zeros(0, 4)
    places = (torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2))
    assert coder.decode(none, *places).shape == coder.encode(none, *places).shape == (0, 4)
    centers, strides = cell_centers([(2, 2)], [8], num_anchors=3)
    anchors = torch.tensor([[10.0, 20.0], [30.0, 15.0], [50.0, 60.0]]).repeat_interleave(4, dim=0)
    deltas = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(0))
    together = coder.decode(deltas, centers, strides, anchors)
    alone = [coder.decode(image, centers, strides, anchors) for image in deltas]
    torch.testing.assert_close(together, torch.stack(alone))


def test_boxes_that_no_regression_reaches_have_finite_encodings() -> None:
    # Much too far away; then without extent.
    boxes = torch.tensor([[900.0, 900.0, 910.0, 910.0], [4.0, 4.0, 4.0, 4.0]])
    places = (torch.full((2, 2), 4.0), torch.full((2,), 8.0), torch.full((2, 2), 10.0))
    encoded = YOLOv4BoxCoder(scale_xy=[1.0], strides=[8]).encode(boxes, *places)
    assert encoded[0].tolist() == pytest.approx([math.log(1e6)] * 2 + [0.0] * 2, abs=0.1)
    assert encoded[1].tolist() == pytest.approx([0.0] * 2 + [math.log(1e-8)] * 2, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    deltas = torch.tensor([[0.0, 0.0, 12.0, 0.0]], dtype=dtype)
    places = (torch.tensor([[4.0, 4.0]]), torch.tensor([8.0]), torch.tensor([[8.0, 8.0]]))
    boxes = YOLOv4BoxCoder(scale_xy=[1.0], strides=[8]).decode(deltas, *places)
    assert boxes.dtype == torch.float32
    assert (boxes[0, 2] - boxes[0, 0]).item() == pytest.approx(math.exp(12) * 8)


def test_a_stride_of_no_level_is_not_decoded_silently() -> None:
    places = (torch.tensor([[4.0, 4.0]]), torch.tensor([64.0]), torch.tensor([[8.0, 8.0]]))
    coder = YOLOv4BoxCoder(scale_xy=[1.0], strides=[8])
    assert coder.decode(torch.zeros(1, 4), *places).isnan().any()


def test_built_from_a_config() -> None:
    cfg = get_config()
    kinds = {"default": "YOLOXBoxCoder", "with_anchors": False}
    assert isinstance(build_box_coder(cfg, LEVELS, **kinds), YOLOXBoxCoder)
    cfg.MODEL.BOX_CODER.NAME = "YOLOv4BoxCoder"
    with pytest.raises(ConfigError, match=r"YOLOv4BoxCoder is for heads with anchors.*YOLOXBox"):
        build_box_coder(cfg, LEVELS, **kinds)
    kinds["with_anchors"] = True
    with pytest.raises(ConfigError, match=r"SCALE_XY: .*\[8, 16\] a number >= 1, got \[1.2, 1.1"):
        build_box_coder(cfg, LEVELS, **kinds)
    cfg.MODEL.BOX_CODER.SCALE_XY = [1.2, 1.05]
    coder = build_box_coder(cfg, LEVELS, **kinds)
    center, anchor = torch.tensor([[8.0, 8.0]]), torch.tensor([[2.0, 2.0]])
    deltas = torch.tensor([[50.0, 0.0, 0.0, 0.0]])
    box = coder.decode(deltas, center, torch.tensor([16.0]), anchor)
    # At the far end of the cell and 0.025 cells further.
    assert box[0].tolist() == pytest.approx([16 + 0.4 - 1, 7.0, 16 + 0.4 + 1, 9.0])
    cfg.MODEL.BOX_CODER.NAME = "YOLOv4Coder"
    with pytest.raises(ConfigError, match=r"BOX_CODER.NAME: there is no 'YOLOv4Coder'.*YOLOv4Box"):
        build_box_coder(cfg, LEVELS, **kinds)
