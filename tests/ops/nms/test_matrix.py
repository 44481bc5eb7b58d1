from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolov7.ops.nms import class_aware_nms, cluster_nms, diou_nms, matrix


def literal_diou(first: Tensor, second: Tensor) -> Tensor:
    """IoU − (distance of the centres / diagonal of the hull)², pair by pair."""
    table = torch.zeros(len(first), len(second), dtype=torch.float64)
    for i, (a0, b0, a1, b1) in enumerate(first.tolist()):
        for j, (c0, d0, c1, d1) in enumerate(second.tolist()):
            shared = max(min(a1, c1) - max(a0, c0), 0) * max(min(b1, d1) - max(b0, d0), 0)
            union = (a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - shared
            diagonal = (max(a1, c1) - min(a0, c0)) ** 2 + (max(b1, d1) - min(b0, d0)) ** 2
            distance = ((a0 + a1 - c0 - c1) ** 2 + (b0 + b1 - d0 - d1) ** 2) / 4
            table[i, j] = shared / union - distance / diagonal
    return table


def test_a_chain_by_hand() -> None:
    """Each box overlaps the next by 2/3 only: the second goes, so the third stays, and so on."""
    left = torch.tensor([0.0, 2, 4, 6, 8])
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 10], dim=1)
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    classes = torch.zeros(5, dtype=torch.int64)
    assert cluster_nms(boxes, scores, classes, 0.5).index.tolist() == [0, 2, 4]
    classes[1] = 1
    assert cluster_nms(boxes, scores, classes, 0.5).index.tolist() == [0, 1, 2, 4]


def test_centres_apart_save_a_box_by_hand() -> None:
    """IoU 1/2 both times; the centre of the second box is off by 5 of a diagonal of √200."""
    boxes = torch.tensor([[0.0, 0, 20, 10], [0.0, 0, 10, 10], [5.0, 0, 15, 10]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    # DIoU: 1/2 − 25/500 = 0.45 for the one at the side, 1/2 for the one in the middle.
    assert diou_nms(boxes, scores, classes, 0.47).index.tolist() == [0, 1]
    assert cluster_nms(boxes, scores, classes, 0.47).index.tolist() == [0]
    assert diou_nms(boxes, scores, classes, 0.44).index.tolist() == [0]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 60), threshold=st.sampled_from([0.3, 0.6]))
def test_equal_the_definitions(seed: int, count: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 20 - 15
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 30], dim=1)
    scores = torch.randint(4, (count,), generator=generator) / 4
    classes = torch.randint(2, (count,), generator=generator)
    for nms, overlap in [
        (cluster_nms, None),
        (diou_nms, literal_diou(boxes.double(), boxes.double())),
    ]:
        if overlap is None:
            expected = class_aware_nms(boxes, scores, classes, threshold).index.tolist()
        else:
            expected = []
            for i in scores.argsort(descending=True, stable=True).tolist():
                if all(classes[i] != classes[k] or overlap[i, k] <= threshold for k in expected):
                    expected.append(i)
        assert nms(boxes, scores, classes, threshold).index.tolist() == expected


@pytest.mark.parametrize("objects", [3, 40])
def test_many_blocks_and_several_at_once(objects: int, crowd, monkeypatch) -> None:
    boxes, scores, classes = crowd(5, 1500, objects=objects)
    expected = class_aware_nms(boxes, scores, classes, 0.6).index
    assert torch.equal(cluster_nms(boxes, scores, classes, 0.6).index, expected)
    diou = diou_nms(boxes, scores, classes, 0.6).index
    monkeypatch.setattr(matrix, "_BLOCK", 7)
    monkeypatch.setattr(matrix, "_MOST_PAIRS", 7 * 300)
    assert torch.equal(cluster_nms(boxes, scores, classes, 0.6).index, expected)
    assert torch.equal(diou_nms(boxes, scores, classes, 0.6).index, diou)


def test_boxes_without_area_hit_nothing() -> None:
    boxes = torch.zeros(3, 4)
    rule = partial(matrix.within_classes_at_once, threshold=0.0)
    assert rule(boxes, torch.zeros(3, dtype=torch.int64)).tolist() == [0, 1, 2]
