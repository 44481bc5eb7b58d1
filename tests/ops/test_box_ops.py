from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import ops as torchvision_ops

from yolov7.ops import box_ops

coordinate = st.floats(-500, 1500, width=32)
side = st.floats(0, 800, width=32)
box = st.tuples(coordinate, coordinate, side, side)
boxes_strategy = st.lists(box, min_size=0, max_size=6)

ELEMENTWISE = [
    box_ops.elementwise_iou,
    box_ops.elementwise_giou,
    box_ops.elementwise_diou,
    box_ops.elementwise_ciou,
]


def make(rows: list[tuple[float, ...]], dtype: torch.dtype = torch.float64) -> Tensor:
    """xyxy boxes of (x, y, width, height) rows."""
    return box_ops.xywh_to_xyxy(torch.tensor(rows, dtype=dtype).reshape(-1, 4))


def test_conversions_of_one_box_by_hand() -> None:
    box = torch.tensor([[10.0, 20.0, 40.0, 80.0]])
    assert box_ops.xyxy_to_cxcywh(box).tolist() == [[25.0, 50.0, 30.0, 60.0]]
    assert box_ops.xyxy_to_xywh(box).tolist() == [[10.0, 20.0, 30.0, 60.0]]
    assert box_ops.cxcywh_to_xyxy(torch.tensor([[25.0, 50.0, 30.0, 60.0]])).equal(box)
    assert box_ops.xywh_to_xyxy(torch.tensor([[10.0, 20.0, 30.0, 60.0]])).equal(box)
    assert box_ops.box_area(box).tolist() == [1800.0]


def test_ious_of_one_pair_by_hand() -> None:
    first, second = torch.tensor([0.0, 0.0, 4.0, 2.0]), torch.tensor([2.0, 0.0, 4.0, 4.0])
    # Areas 8 and 8, intersection 4, union 12; hull 4 x 4, diagonal² 32, centres (2,1) and (3,2).
    assert box_ops.elementwise_iou(first, second).item() == pytest.approx(4 / 12)
    assert box_ops.elementwise_giou(first, second).item() == pytest.approx(4 / 12 - 4 / 16)
    assert box_ops.elementwise_diou(first, second).item() == pytest.approx(4 / 12 - 2 / 32)
    aspect = 4 / math.pi**2 * (math.atan(0.5) - math.atan(2)) ** 2
    alpha = aspect / (1 - 4 / 12 + aspect)
    expected = 4 / 12 - 2 / 32 - alpha * aspect
    assert box_ops.elementwise_ciou(first, second).item() == pytest.approx(expected, rel=1e-5)


def test_share_of_a_box_in_a_region_by_hand() -> None:
    # Half of 4 x 4 lies in the region; the region's own size does not matter.
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 1, 3]])
    regions = torch.tensor([[2.0, -50, 90, 90], [9, 9, 10, 10], [0, 0, 9, 9]])
    assert box_ops.elementwise_ioa(boxes, regions).tolist() == [0.5, 0, 0]


def test_clip_and_nonempty_by_hand() -> None:
    boxes = torch.tensor([[-5.0, 3.0, 50.0, 90.0], [60.0, 0.0, 70.0, 10.0]])
    clipped = box_ops.clip_boxes(boxes, (80, 40))
    assert clipped.tolist() == [[0.0, 3.0, 40.0, 80.0], [40.0, 0.0, 40.0, 10.0]]
    assert box_ops.nonempty_boxes(clipped).tolist() == [True, False]
    assert box_ops.nonempty_boxes(clipped, min_side=40.0).tolist() == [False, False]
    assert boxes[0, 0] == -5.0, "arguments are not changed"


def test_no_boxes_give_empty_results() -> None:
    none, some = torch.zeros(0, 4), torch.rand(3, 4)
    assert box_ops.pairwise_iou(none, some).shape == (0, 3)
    assert box_ops.pairwise_iou(some, none).shape == (3, 0)
    assert box_ops.box_area(none).shape == (0,)
    assert box_ops.clip_boxes(none, (4, 4)).shape == (0, 4)
    assert box_ops.nonempty_boxes(none).shape == (0,)
    for function in ELEMENTWISE:
        assert function(none, none).shape == (0,)
    for convert in (box_ops.cxcywh_to_xyxy, box_ops.xyxy_to_cxcywh, box_ops.xyxy_to_xywh):
        assert convert(none).shape == (0, 4)


def test_half_precision_is_raised_and_float64_stays() -> None:
    large = torch.tensor([[0.0, 0.0, 300.0, 300.0]], dtype=torch.float16)
    assert box_ops.box_area(large).dtype == torch.float32
    assert box_ops.box_area(large).item() == 90000.0, "half precision ends at 65504"
    assert box_ops.pairwise_iou(large, large).dtype == torch.float32
    assert box_ops.pairwise_iou(large.double(), large.double()).dtype == torch.float64


@settings(deadline=None, max_examples=60)
@given(boxes_strategy)
def test_conversions_are_inverse(rows: list[tuple[float, ...]]) -> None:
    boxes = make(rows)
    torch.testing.assert_close(box_ops.cxcywh_to_xyxy(box_ops.xyxy_to_cxcywh(boxes)), boxes)
    torch.testing.assert_close(box_ops.xywh_to_xyxy(box_ops.xyxy_to_xywh(boxes)), boxes)


@settings(deadline=None, max_examples=60)
@given(boxes_strategy, boxes_strategy)
def test_pairwise_iou_is_torchvisions_symmetric_and_bounded(
    rows1: list[tuple[float, ...]], rows2: list[tuple[float, ...]]
) -> None:
    boxes1, boxes2 = make(rows1), make(rows2)
    iou = box_ops.pairwise_iou(boxes1, boxes2)
    expected = torchvision_ops.box_iou(boxes1, boxes2).nan_to_num(0)
    torch.testing.assert_close(iou, expected, rtol=1e-9, atol=1e-12)
    assert iou.equal(box_ops.pairwise_iou(boxes2, boxes1).T)
    assert bool(((iou >= 0) & (iou <= 1 + 1e-12)).all())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(box, box), max_size=5))
def test_elementwise_is_the_diagonal_and_the_variants_are_ordered(
    pairs: list[tuple[tuple[float, ...], tuple[float, ...]]],
) -> None:
    first, second = make([pair[0] for pair in pairs]), make([pair[1] for pair in pairs])
    iou, giou, diou, ciou = (function(first, second) for function in ELEMENTWISE)
    torch.testing.assert_close(iou, box_ops.pairwise_iou(first, second).diagonal())
    slack = 1e-5
    assert bool(((giou <= iou + slack) & (giou >= -1 - slack)).all())
    assert bool(((diou <= iou + slack) & (diou >= -1 - slack)).all())
    assert bool((ciou <= diou + slack).all())


@pytest.mark.parametrize(
    ("function", "peer"),
    [
        (box_ops.elementwise_giou, torchvision_ops.generalized_box_iou_loss),
        (box_ops.elementwise_diou, torchvision_ops.distance_box_iou_loss),
        (box_ops.elementwise_ciou, torchvision_ops.complete_box_iou_loss),
    ],
)
def test_variants_and_their_gradients_are_torchvisions(function, peer) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 50
    sides = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 60 + 1
    first = torch.cat([corner, corner + sides], dim=1).requires_grad_()
    second = first.detach().roll(1, 0)
    ours, theirs = function(first, second), 1 - peer(first, second)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(ours.sum(), first)
    (expected,) = torch.autograd.grad(theirs.sum(), first)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", ELEMENTWISE)
def test_degenerate_pairs_have_finite_values_and_gradients(function) -> None:
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]], requires_grad=True)
    for other in ([5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 9.0, 9.0], [50.0, 50.0, 60.0, 50.0]):
        value = function(point, torch.tensor([other]))
        (gradient,) = torch.autograd.grad(value.sum(), point)
        assert bool(value.isfinite().all())
        assert bool(gradient.isfinite().all())
