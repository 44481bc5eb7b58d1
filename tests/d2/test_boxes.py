"""Boxes, their modes and their overlaps."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.d2.embedded.box_mode import BoxMode
from yolov7.d2.embedded.box_overlap import pairwise_ioa, pairwise_iou
from yolov7.d2.embedded.boxes import Boxes

XYXY, XYWH, XYWHA = BoxMode.XYXY_ABS, BoxMode.XYWH_ABS, BoxMode.XYWHA_ABS


def test_modes_are_numbers_that_json_can_hold():
    assert [int(mode) for mode in BoxMode] == [0, 1, 2, 3, 4]
    assert json.loads(json.dumps({"mode": XYWH})) == {"mode": 1}


@pytest.mark.parametrize("kind", [list, tuple])
def test_convert_keeps_the_container_and_whole_numbers(kind):
    box = BoxMode.convert(kind((1, 2, 4, 9)), 0, 1)
    assert box == kind((1, 2, 3, 7))
    assert all(type(value) is int for value in box)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_convert_arrays_keeps_dtype_and_the_input(dtype):
    boxes = np.array([[1, 2, 4, 9], [0, 0, 5, 5]], dtype=dtype)
    before = boxes.copy()
    converted = BoxMode.convert(boxes, XYWH, XYXY)
    assert converted.dtype == dtype
    assert converted.tolist() == [[1, 2, 5, 11], [0, 0, 5, 5]]
    assert (boxes == before).all()


def test_convert_empty_and_equal_modes():
    assert BoxMode.convert(torch.zeros(0, 4), XYXY, XYWH).shape == (0, 4)
    same = torch.rand(2, 4)
    assert BoxMode.convert(same, XYWH, XYWH) is same


def test_a_rotated_box_becomes_the_upright_box_around_it():
    assert BoxMode.convert([50, 50, 30, 20, 0], XYWHA, XYXY) == [35, 40, 65, 60]
    turned = BoxMode.convert(torch.tensor([[50.0, 50, 30, 20, 90]]), XYWHA, XYXY)
    assert torch.allclose(turned, torch.tensor([[40.0, 35, 60, 65]]))
    assert BoxMode.convert((30.0, 40.0, 70.0, 60.0), XYWH, XYWHA) == (65, 70, 70, 60, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=4))
def test_xyxy_to_xywh_and_back(box):
    assert BoxMode.convert(BoxMode.convert(box, XYXY, XYWH), XYWH, XYXY) == box


def test_what_cannot_be_converted():
    with pytest.raises(AssertionError):
        BoxMode.convert([1, 2, 3], XYXY, XYWH)
    with pytest.raises(AssertionError, match="Relative"):
        BoxMode.convert([0.1, 0.1, 0.2, 0.2], BoxMode.XYXY_REL, XYXY)
    with pytest.raises(NotImplementedError):
        BoxMode.convert([1, 2, 3, 4], XYXY, XYWHA)


def test_boxes_share_memory_with_float32_and_copy_the_rest():
    given_tensor = torch.tensor([[0.0, 0, 2, 4]])
    boxes = Boxes(given_tensor)
    boxes.scale(10, 0.5)
    assert given_tensor.tolist() == [[0, 0, 20, 2]]
    boxes.clip((1, 5))
    assert boxes.tensor.tolist() == [[0, 0, 5, 1]]
    assert given_tensor.tolist() == [[0, 0, 20, 2]]
    assert Boxes(torch.ones(1, 4).double()).tensor.dtype == torch.float32
    assert Boxes(np.ones((1, 4))).tensor.dtype == torch.float32


@pytest.mark.parametrize("empty", [[], torch.zeros(0), torch.zeros(0, 4), np.zeros((0, 4))])
def test_no_boxes(empty):
    boxes = Boxes(empty)
    boxes.clip((4, 4))
    assert boxes.tensor.shape == (0, 4)
    assert boxes.area().shape == (0,)
    assert len(boxes) == len(list(boxes)) == 0


def test_sizes_are_height_width_but_coordinates_x_y():
    boxes = Boxes([[-1.0, -2, 30, 40], [2, 3, 4, 5]])
    boxes.clip((10, 20))
    assert boxes.tensor.tolist() == [[0, 0, 20, 10], [2, 3, 4, 5]]
    assert boxes.inside_box((6, 5)).tolist() == [False, True]
    assert boxes.inside_box((5, 5)).tolist() == [False, False]  # the far edges are exclusive
    assert boxes.inside_box((5, 5), boundary_threshold=16).tolist() == [True, True]
    assert boxes.get_centers().tolist() == [[10, 5], [3, 4]]
    assert boxes.area().tolist() == [200, 4]


def test_nonempty_is_strict():
    boxes = Boxes([[0.0, 0, 2, 3], [0, 0, 0, 3], [0, 0, 3, 2.5]])
    assert boxes.nonempty().tolist() == [True, False, True]
    assert boxes.nonempty(2.0).tolist() == [False, False, True]


def test_indexing_gives_boxes():
    boxes = Boxes(torch.arange(12.0).view(3, 4))
    assert boxes[-1].tensor.tolist() == [[8, 9, 10, 11]]
    assert boxes[torch.tensor([True, False, True])].tensor[:, 0].tolist() == [0, 8]
    assert boxes[[2, 0]].tensor[:, 0].tolist() == [8, 0]
    assert next(iter(boxes)).shape == (4,)
    with pytest.raises(AssertionError):
        boxes[torch.tensor(1)]


def test_cat_and_wrong_shapes():
    boxes = Boxes([[1.0, 2, 3, 4]])
    joined = Boxes.cat([boxes, Boxes([]), boxes])
    boxes.tensor.zero_()
    assert joined.tensor.tolist() == [[1, 2, 3, 4]] * 2
    assert Boxes.cat([]).tensor.shape == (0, 4)
    with pytest.raises(AssertionError):
        Boxes(torch.zeros(2, 5))
    with pytest.raises(AssertionError, match="NaN"):
        Boxes([[0.0, float("nan"), 1, 1]]).clip((2, 2))


def test_gradients_flow_through_boxes():
    tensor = torch.rand(2, 4, requires_grad=True)
    Boxes(tensor).area().sum().backward()
    assert tensor.grad is not None


def test_overlaps_by_hand():
    one, three = Boxes([[0.0, 0, 2, 2]]), Boxes([[1.0, 1, 3, 3], [2, 2, 4, 4], [0, 0, 2, 1]])
    assert torch.allclose(pairwise_iou(one, three), torch.tensor([[1 / 7, 0, 0.5]]))
    assert torch.allclose(pairwise_ioa(one, three), torch.tensor([[0.25, 0, 1]]))
    assert torch.allclose(pairwise_ioa(three, one).T, torch.tensor([[0.25, 0, 0.5]]))


def test_overlaps_of_points_and_of_nothing_are_zero_not_nan():
    point, none = Boxes([[1.0, 1, 1, 1]]), Boxes([])
    assert pairwise_iou(point, point).tolist() == [[0]]
    assert pairwise_ioa(point, point).tolist() == [[0]]
    assert pairwise_iou(none, point).shape == (0, 1)
    assert pairwise_ioa(point, none).shape == (1, 0)
