from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.locations import cell_centers


def test_one_anchor_box_by_hand() -> None:
    # Column 2, row 1 of stride 16: its corner is (32, 16). Sigmoids 0.75, 0.5, 0.5 and 0.25.
    center, stride = torch.tensor([[40.0, 24.0]]), torch.tensor([16.0])
    anchor = torch.tensor([[12.0, 40.0]])
    deltas = torch.tensor([[math.log(3), 0.0, 0.0, -math.log(3)]])
    boxes = YOLOv7BoxCoder().decode(deltas, center, stride, anchor)
    # Centre (1.5 - 0.5 + 2)·16 = 48, (1 - 0.5 + 1)·16 = 24; sides 1²·12 = 12, 0.5²·40 = 10.
    torch.testing.assert_close(boxes, torch.tensor([[42.0, 19.0, 54.0, 29.0]]))
    torch.testing.assert_close(YOLOv7BoxCoder().encode(boxes, center, stride, anchor), deltas)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-8, 8)] * 4), min_size=26, max_size=26))
def test_encode_undoes_decode_with_anchors(rows: list[tuple[float, ...]]) -> None:
    centers, strides = cell_centers([(2, 5), (1, 3)], [8, 32], num_anchors=2, dtype=torch.float64)
    anchors = torch.rand(26, 2, generator=torch.Generator().manual_seed(0)).double() * 90 + 10
    deltas = torch.tensor(rows, dtype=torch.float64)
    coder = YOLOv7BoxCoder()
    boxes = coder.decode(deltas, centers, strides, anchors)
    found = coder.encode(boxes, centers, strides, anchors)
    torch.testing.assert_close(found, deltas, atol=1e-6, rtol=0)


def test_no_anchor_boxes_and_a_batch_is_its_images() -> None:
    coder, none = YOLOv7BoxCoder(), torch.zeros(0, 4)
    places = (torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2))
    assert coder.decode(none, *places).shape == coder.encode(none, *places).shape == (0, 4)
    centers, strides = cell_centers([(2, 2)], [8], num_anchors=3)
    anchors = torch.tensor([[10.0, 20.0], [30.0, 15.0], [50.0, 60.0]]).repeat_interleave(4, dim=0)
    deltas = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(0))
    together = coder.decode(deltas, centers, strides, anchors)
    alone = [coder.decode(image, centers, strides, anchors) for image in deltas]
    # Not bit-equal: vectors and the rest of a row take different sigmoids.
    torch.testing.assert_close(together, torch.stack(alone))


def test_boxes_that_no_anchor_reaches_have_finite_encodings() -> None:
    # Much too large and too far; then without extent.
    boxes = torch.tensor([[0.0, 0.0, 900.0, 900.0], [4.0, 4.0, 4.0, 4.0]])
    places = (torch.full((2, 2), 4.0), torch.full((2,), 8.0), torch.full((2, 2), 10.0))
    encoded = YOLOv7BoxCoder().encode(boxes, *places)
    assert encoded.isfinite().all()
    assert encoded[0].tolist() == pytest.approx([math.log(1e6)] * 4, abs=0.1)
    assert encoded[1].tolist() == pytest.approx([0.0, 0.0, -math.log(1e6), -math.log(1e6)], abs=0.1)
    assert YOLOv7BoxCoder().decode(encoded, *places).isfinite().all()


def test_an_anchor_coder_without_anchors_says_so() -> None:
    with pytest.raises(ValueError, match="needs the anchors of a head"):
        YOLOv7BoxCoder().decode(torch.zeros(1, 4), torch.zeros(1, 2), torch.ones(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_anchor_boxes_of_half_precision_are_float32(dtype: torch.dtype) -> None:
    deltas = torch.tensor([[0.0, 0.0, 0.0, 0.0]], dtype=dtype)
    places = (torch.tensor([[1100.5, 4.0]]), torch.tensor([8.0]), torch.tensor([[3.0, 4.0]]))
    boxes = YOLOv7BoxCoder().decode(deltas, *places)
    assert boxes.dtype == torch.float32
    assert boxes[0].tolist() == [1099.0, 2.0, 1102.0, 6.0]
