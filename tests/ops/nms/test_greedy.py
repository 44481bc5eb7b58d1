from __future__ import annotations

import pytest
import torch
from torchvision.ops import batched_nms

from yolov7.ops.nms import agnostic_nms, class_aware_nms
from yolov7.ops.nms.greedy import FIRST_ROUND, GreedyNMS, of_any_class, within_classes


def test_one_case_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 9], [0.0, 0, 10, 8], [20.0, 20, 30, 30]])
    scores, classes = torch.tensor([0.5, 0.9, 0.8, 0.1]), torch.tensor([0, 0, 1, 0])
    # IoU with box 1: box 0 has 0.9, box 2 has 8/9 but another class.
    kept = class_aware_nms(boxes, scores, classes, 0.7)
    assert kept.index.tolist() == [1, 2, 3]
    assert torch.equal(kept.boxes, boxes[[1, 2, 3]])
    assert torch.equal(kept.scores, scores[[1, 2, 3]])
    assert agnostic_nms(boxes, scores, classes, 0.7).index.tolist() == [1, 3]
    assert agnostic_nms(boxes, scores, classes, 0.9).index.tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize("threshold", [0.3, 0.65, 0.9])
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_definition(seed: int, threshold: float, crowd, literal_nms) -> None:
    # Few different scores, so that ties occur: they keep their order.
    boxes, scores, classes = crowd(seed, 40, ties=True)
    expected = literal_nms(boxes, scores, classes, threshold)
    assert class_aware_nms(boxes, scores, classes, threshold).index.tolist() == expected
    expected = literal_nms(boxes, scores, torch.zeros_like(classes), threshold)
    assert agnostic_nms(boxes, scores, classes, threshold).index.tolist() == expected


@pytest.mark.parametrize("classes", [1, 3, 80])
def test_class_by_class_is_torchvisions(classes: int, crowd) -> None:
    boxes, scores, labels = crowd(0, 3 * FIRST_ROUND, objects=30, classes=classes)
    # A class that nothing has must not matter.
    labels = labels * 2 + 5
    expected = batched_nms(boxes, scores, labels, 0.6)
    kept = class_aware_nms(boxes, scores, labels, 0.6)
    assert torch.equal(kept.index.sort().values, expected.sort().values)
    assert (kept.scores.diff() <= 0).all()


def test_rounds_end_with_the_same_and_look_at_no_more_than_they_need(crowd) -> None:
    boxes, scores, labels = crowd(1, 5000, objects=200)
    seen = []

    def rule(boxes, classes, threshold):
        seen.append(len(boxes))
        return within_classes(boxes, classes, threshold)

    nms = GreedyNMS(rule)
    everything = class_aware_nms(boxes, scores, labels, 0.7)
    assert nms(boxes, scores, labels, 0.7).index.equal(everything.index)
    assert seen == [5000]
    for most, looked_at in [(30, [1024]), (3000, [1024, 4096, 16384])]:
        seen.clear()
        assert nms(boxes, scores, labels, 0.7, most=most).index.equal(everything.index[:most])
        assert seen == [min(count, 5000) for count in looked_at]
    seen.clear()
    lowest = float(scores.sort(descending=True).values[99])
    kept = nms(boxes, scores, labels, 0.7, lowest=lowest, most=3000)
    assert seen == [100]
    assert kept.index.equal(everything.index[everything.scores >= lowest])


@pytest.mark.parametrize("rule", [within_classes, of_any_class])
def test_a_box_that_reaches_far_does_not_disturb_the_others(rule) -> None:
    boxes = torch.tensor([[0.0, 0, 1e7, 1e7], [10.0, 10, 20, 20], [10.0, 10, 20, 19]])
    classes = torch.tensor([0, 79, 79])
    assert rule(boxes.double(), classes, 0.65).tolist() == [0, 1]


def test_boxes_beyond_the_left_border_stay_in_their_class() -> None:
    # Moved by the largest coordinate only, the first would lie on the second.
    boxes = torch.tensor([[-11.0, -11, -1, -1], [0.0, 0, 10, 10]])
    scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([1, 0])
    assert class_aware_nms(boxes, scores, classes, 0.5).index.tolist() == [0, 1]
