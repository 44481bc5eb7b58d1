"""What holds for every kind of suppression."""

from __future__ import annotations

import pytest
import torch

from yolov7.ops.nms import NMS_TYPES, Sources

KINDS = pytest.mark.parametrize("nms", NMS_TYPES.values(), ids=NMS_TYPES.keys())


def test_the_names() -> None:
    assert list(NMS_TYPES) == [
        "normal", "agnostic", "soft-linear", "soft-gaussian", "cluster", "diou", "wbf",
    ]  # fmt: skip


@KINDS
def test_no_boxes(nms) -> None:
    boxes, scores, classes = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    for sources in (None, Sources.of_parts([boxes, boxes])):
        kept = nms(boxes, scores, classes, 0.5, sources=sources, most=3, lowest=0.1)
        assert [part.dtype for part in kept] == [torch.int64, torch.float32, torch.float32]
        assert [tuple(part.shape) for part in kept] == [(0,), (0, 4), (0,)]


@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boxes_far_apart_stay_as_they_are(nms, dtype) -> None:
    left = torch.arange(5, dtype=dtype) * 100 - 200
    boxes = torch.stack([left, left, left + 10, left + 20], dim=1)
    scores = torch.tensor([0.2, 0.9, 0.2, 0.8, 0.1], dtype=dtype)
    kept = nms(boxes, scores, torch.tensor([0, 3, 0, 1, 3]), 0.5)
    assert kept.index.tolist() == [1, 3, 0, 2, 4]
    torch.testing.assert_close(kept.boxes, boxes[kept.index])
    assert torch.equal(kept.scores, scores[kept.index])


@KINDS
def test_limits_choose_among_the_same_results(nms, crowd) -> None:
    boxes, scores, classes = crowd(3, 400, objects=12)
    everything = nms(boxes, scores, classes, 0.6)
    assert (everything.scores.diff() <= 0).all()
    few = nms(boxes, scores, classes, 0.6, most=9)
    high = nms(boxes, scores, classes, 0.6, lowest=0.5)
    assert all(torch.equal(part, whole[:9]) for part, whole in zip(few, everything, strict=True))
    rows = everything.scores >= 0.5
    assert 9 < int(rows.sum()) < len(rows)
    assert all(torch.equal(part, whole[rows]) for part, whole in zip(high, everything, strict=True))


@KINDS
def test_arguments_are_left_alone(nms, crowd) -> None:
    case = crowd(4, 100)
    copies = [part.clone() for part in case]
    nms(*case, 0.5)
    assert all(torch.equal(part, copy) for part, copy in zip(case, copies, strict=True))


@KINDS
def test_classes_do_not_affect_each_other_unless_agnostic(nms, crowd) -> None:
    boxes, scores, classes = crowd(6, 90)
    together = nms(boxes, scores, classes, 0.5)
    alone = []
    for label in range(3):
        rows = (classes == label).nonzero().squeeze(1)
        alone += rows[nms(boxes[rows], scores[rows], classes[rows], 0.5).index].tolist()
    assert (sorted(alone) == sorted(together.index.tolist())) == (nms is not NMS_TYPES["agnostic"])
