from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers


def test_one_box_by_hand() -> None:
    # Column 2, row 1 of stride 16: its corner is (32, 16), its centre (40, 24).
    center, stride = torch.tensor([[40.0, 24.0]]), torch.tensor([16.0])
    deltas = torch.tensor([[0.25, -0.5, math.log(2), 0.0]])
    boxes = YOLOXBoxCoder().decode(deltas, center, stride)
    # Centre (0.25 + 2)·16 = 36, (-0.5 + 1)·16 = 8; sides 32 and 16.
    torch.testing.assert_close(boxes, torch.tensor([[20.0, 0.0, 52.0, 16.0]]))
    torch.testing.assert_close(YOLOXBoxCoder().encode(boxes, center, stride), deltas)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 4), min_size=13, max_size=13))
def test_encode_undoes_decode(rows: list[tuple[float, ...]]) -> None:
    centers, strides = cell_centers([(2, 5), (1, 3)], [8, 32], dtype=torch.float64)
    deltas = torch.tensor(rows, dtype=torch.float64)
    coder = YOLOXBoxCoder()
    boxes = coder.decode(deltas, centers, strides)
    # The encoding's 1e-8 inside the logarithm moves e⁻⁵ by about 1.5e-6.
    torch.testing.assert_close(coder.encode(boxes, centers, strides), deltas, atol=2e-6, rtol=0)


def test_a_batch_is_its_images() -> None:
    centers, strides = cell_centers([(2, 2)], [8])
    deltas = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    coder = YOLOXBoxCoder()
    together = coder.decode(deltas, centers, strides)
    assert together.equal(torch.stack([coder.decode(image, centers, strides) for image in deltas]))


def test_no_boxes() -> None:
    none = torch.zeros(0, 4)
    assert YOLOXBoxCoder().decode(none, torch.zeros(0, 2), torch.zeros(0)).shape == (0, 4)
    assert YOLOXBoxCoder().encode(none, torch.zeros(0, 2), torch.zeros(0)).shape == (0, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    # e^12 · 8 > 65504, the largest number of half precision.
    deltas = torch.tensor([[0.0, 0.0, 12.0, 0.0]], dtype=dtype)
    boxes = YOLOXBoxCoder().decode(deltas, torch.tensor([[4.0, 4.0]]), torch.tensor([8.0]))
    assert boxes.dtype == torch.float32
    assert (boxes[0, 2] - boxes[0, 0]).item() == pytest.approx(math.exp(12) * 8)


def test_a_box_without_extent_has_a_finite_encoding() -> None:
    boxes = torch.tensor([[4.0, 4.0, 4.0, 4.0]])
    encoded = YOLOXBoxCoder().encode(boxes, torch.tensor([[4.0, 4.0]]), torch.tensor([8.0]))
    torch.testing.assert_close(encoded, torch.tensor([[0.5, 0.5, math.log(1e-8), math.log(1e-8)]]))
