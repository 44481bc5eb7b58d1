from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolov7.ops.box_ops import pairwise_iou
from yolov7.ops.nms import soft_gaussian_nms, soft_linear_nms


def literal_soft(
    boxes: Tensor, scores: Tensor, classes: Tensor, decay, lowest: float
) -> list[tuple[int, float]]:
    """The paper's loop over one list."""
    iou = pairwise_iou(boxes.double(), boxes.double())
    left = {i: float(score) for i, score in enumerate(scores.double())}
    taken = []
    while left:
        best = max(left, key=lambda i: left[i])
        score = left.pop(best)
        if score >= lowest:
            taken.append((best, score))
        for other in left:
            if classes[other] == classes[best]:
                left[other] *= decay(float(iou[best, other]))
    return taken


def test_by_hand() -> None:
    """IoU of 0 and 1: 1/2; of 1 and 2: 1/3; of 0 and 2: 0."""
    boxes = torch.tensor([[0.0, 0, 20, 10], [10.0, 0, 20, 10], [5, 0, 15, 10], [0, 0, 20, 10]])
    boxes[2] = torch.tensor([15.0, 0, 25, 10])
    scores, classes = torch.tensor([0.9, 0.8, 0.3, 0.7]), torch.tensor([0, 0, 0, 1])
    kept = soft_linear_nms(boxes, scores, classes, 0.3)
    # 0 lowers 1 to .4; 2 shares 50 of 250 with 0 (below .3) and 50 of 150 with 1.
    assert kept.index.tolist() == [0, 3, 1, 2]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7, 0.4, 0.2])
    kept = soft_gaussian_nms(boxes, scores, classes, 0.3)
    second = 0.8 * math.exp(-0.5)
    third = 0.3 * math.exp(-2 * 0.2**2) * math.exp(-2 / 9)
    assert kept.index.tolist() == [0, 3, 1, 2]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7, second, third])
    assert torch.equal(kept.boxes, boxes[kept.index])
    assert soft_linear_nms(boxes, scores, classes, 0.3, lowest=0.3).index.tolist() == [0, 3, 1]
    assert soft_linear_nms(boxes, scores, classes, 0.3, most=2).index.tolist() == [0, 3]


@pytest.mark.parametrize("lowest", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_loop(seed: int, lowest: float, crowd) -> None:
    boxes, scores, classes = crowd(seed, 60)
    for nms, decay in [
        (soft_linear_nms, lambda iou: 1 - iou if iou > 0.4 else 1.0),
        (soft_gaussian_nms, lambda iou: math.exp(-(iou**2) / 0.5)),
    ]:
        expected = literal_soft(boxes, scores, classes, decay, lowest)
        kept = nms(boxes, scores, classes, 0.4, lowest=lowest)
        assert kept.index.tolist() == [index for index, _ in expected]
        assert kept.scores.tolist() == pytest.approx([score for _, score in expected])
        few = nms(boxes, scores, classes, 0.4, lowest=lowest, most=7)
        assert torch.equal(few.index, kept.index[:7]) and torch.equal(few.scores, kept.scores[:7])


def test_a_copy_of_a_box_ends_at_zero() -> None:
    boxes, classes = torch.tensor([[0.0, 0, 9, 9]] * 3), torch.zeros(3, dtype=torch.int64)
    kept = soft_linear_nms(boxes, torch.tensor([0.5, 0.6, 0.4]), classes, 0.5)
    assert kept.index.tolist() == [1, 0, 2]
    assert kept.scores.tolist() == pytest.approx([0.6, 0, 0])
