from __future__ import annotations

import torch

from yolov7.ops.box_ops import pairwise_iou
from yolov7.ops.nms.groups import independent_groups, padded_buckets


def partition(groups: torch.Tensor) -> set[frozenset[int]]:
    return {frozenset((groups == group).nonzero().squeeze(1).tolist()) for group in groups.unique()}


def test_by_hand() -> None:
    boxes = torch.tensor(
        [
            [0.0, 0, 4, 4],
            [3.0, 3, 8, 8],  # overlaps the first
            [8.0, 0, 9, 9],  # touches the second
            [3.0, 20, 5, 22],  # below the first two
            [0.0, 0, 4, 4],  # of another class
        ]
    )
    groups = independent_groups(boxes, torch.tensor([7, 7, 7, 7, 2]))
    assert partition(groups) == {frozenset(s) for s in ({0, 1}, {2}, {3}, {4})}
    assert sorted(groups.unique().tolist()) == [0, 1, 2, 3]


def test_groups_never_overlap_and_huge_boxes_do_not_blur_small_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=generator) * 500
    boxes = torch.cat([corner, corner + torch.rand(200, 2, generator=generator) * 40], dim=1)
    classes = torch.randint(2, (200,), generator=generator)
    boxes[0] = torch.tensor([1e30, 1e30, 3e30, 3e30])
    groups = independent_groups(boxes, classes)
    assert len(groups.unique()) > 20
    other = groups[:, None] != groups[None]
    same_class = classes[:, None] == classes[None]
    assert not (pairwise_iou(boxes, boxes).gt(0) & other & same_class).any()


def test_buckets_hold_everything_once_in_order_larger_groups_first() -> None:
    groups = torch.tensor([2, 0, 2, 1, 2, 0, 3, 2, 2])  # sizes 2, 1, 5, 1
    buckets = [
        [row[real].tolist() for row, real in zip(members, is_real, strict=True)]
        for members, is_real in padded_buckets(groups, most_places=100)
    ]
    assert buckets == [[[0, 2, 4, 7, 8]], [[1, 5], [3], [6]]]
    small = [members.shape for members, _ in padded_buckets(groups, most_places=3)]
    assert small == [(1, 5), (1, 2), (2, 1)]


def test_nothing() -> None:
    groups = independent_groups(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert groups.shape == (0,)
    assert list(padded_buckets(groups, 10)) == []
