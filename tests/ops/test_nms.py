from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolov7.ops.box_ops import pairwise_iou
from yolov7.ops.nms import NMS_TYPES, agnostic_nms, class_aware_nms


def literal_nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> list[int]:
    """Greedy suppression as its definition says."""
    iou = pairwise_iou(boxes.double(), boxes.double())
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(classes[index] != classes[k] or iou[index, k] <= threshold for k in kept):
            kept.append(index)
    return kept


def test_one_case_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 9], [0.0, 0, 10, 8], [20.0, 20, 30, 30]])
    scores, classes = torch.tensor([0.5, 0.9, 0.8, 0.1]), torch.tensor([0, 0, 1, 0])
    # IoU with box 1: box 0 has 0.9, box 2 has 8/9 but another class.
    assert class_aware_nms(boxes, scores, classes, 0.7).tolist() == [1, 2, 3]
    assert agnostic_nms(boxes, scores, classes, 0.7).tolist() == [1, 3]
    assert agnostic_nms(boxes, scores, classes, 0.9).tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize("function", NMS_TYPES.values(), ids=NMS_TYPES.keys())
def test_no_boxes(function) -> None:
    kept = function(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from([0.3, 0.65, 0.9]))
def test_equals_the_definition(seed: int, count: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 30 - 15
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 30], dim=1)
    # Few different scores, so that ties occur: they keep their order.
    scores = torch.randint(4, (count,), generator=generator) / 4
    classes = torch.randint(3, (count,), generator=generator)
    expected = literal_nms(boxes, scores, classes, threshold)
    assert class_aware_nms(boxes, scores, classes, threshold).tolist() == expected
    expected = literal_nms(boxes, scores, torch.zeros_like(classes), threshold)
    assert agnostic_nms(boxes, scores, classes, threshold).tolist() == expected


def test_a_box_that_reaches_far_does_not_disturb_the_others() -> None:
    boxes = torch.tensor([[0.0, 0, 1e7, 1e7], [10.0, 10, 20, 20], [10.0, 10, 20, 19]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 79, 79])
    assert class_aware_nms(boxes, scores, classes, 0.65).tolist() == [0, 1]


def test_boxes_beyond_the_left_border_stay_in_their_class() -> None:
    # Moved by the largest coordinate only, the first would lie on the second.
    boxes = torch.tensor([[-11.0, -11, -1, -1], [0.0, 0, 10, 10]])
    scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([1, 0])
    assert class_aware_nms(boxes, scores, classes, 0.5).tolist() == [0, 1]
