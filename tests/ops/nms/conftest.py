from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from yolov7.ops.box_ops import pairwise_iou

Case = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def crowd() -> Callable[..., Case]:
    """Boxes, scores and classes: many boxes around few objects, beyond the left border too."""

    def _crowd(
        seed: int, count: int, *, objects: int = 4, classes: int = 3, ties: bool = False
    ) -> Case:
        generator = torch.Generator().manual_seed(seed)
        middle = torch.rand(objects, 2, generator=generator) * 60 - 15
        size = torch.rand(objects, 2, generator=generator) * 30 + 5
        who = torch.randint(objects, (count,), generator=generator)
        jitter = torch.randn(count, 4, generator=generator) * size[who].repeat(1, 2) * 0.12
        corners = torch.cat([middle[who] - size[who] / 2, middle[who] + size[who] / 2], dim=1)
        corners += jitter
        low = torch.minimum(corners[:, :2], corners[:, 2:])
        high = torch.maximum(corners[:, :2], corners[:, 2:])
        scores = torch.rand(count, generator=generator)
        if ties:
            scores = (scores * 4).round() / 4
        labels = torch.randint(classes, (count,), generator=generator)
        return torch.cat([low, high], dim=1), scores, labels

    return _crowd


@pytest.fixture
def literal_nms() -> Callable[..., list[int]]:
    """Greedy suppression as its definition says."""

    def _literal(
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        threshold: float,
        overlap: Callable[[Tensor, Tensor], Tensor] = pairwise_iou,
    ) -> list[int]:
        pairs = overlap(boxes.double(), boxes.double())
        kept: list[int] = []
        for index in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
            if all(classes[index] != classes[k] or pairs[index, k] <= threshold for k in kept):
                kept.append(index)
        return kept

    return _literal
