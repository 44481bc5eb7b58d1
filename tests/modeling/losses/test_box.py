from __future__ import annotations

import pytest
import torch

from yolov7.modeling.losses import ciou, diou, giou, iou, iou_squared
from yolov7.modeling.registries import LOSS_REGISTRY

LOSSES = [iou_squared, iou, giou, diou, ciou]


def test_one_pair_by_hand() -> None:
    # Areas 8 and 8, intersection 4, union 12; hull 16, diagonal² 32, centres' distance² 2.
    first, second = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[2.0, 0, 4, 4]])
    assert iou(first, second).item() == pytest.approx(2 / 3)
    assert iou_squared(first, second).item() == pytest.approx(8 / 9)
    assert giou(first, second).item() == pytest.approx(2 / 3 + 1 / 4)
    assert diou(first, second).item() == pytest.approx(2 / 3 + 1 / 16)
    assert ciou(first, second).item() > diou(first, second).item()


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_boxes_cost_nothing_and_no_boxes_give_none(loss) -> None:
    boxes = torch.tensor([[1.0, 2, 30, 40], [5.0, 5, 9, 6]])
    torch.testing.assert_close(loss(boxes, boxes), torch.zeros(2), atol=1e-6, rtol=0)
    assert loss(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
    assert loss.__name__ in LOSS_REGISTRY


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_a_batch_are_those_of_its_pairs(loss) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 6, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + torch.rand(2, 6, 2, generator=generator) * 20], dim=2)
    together = loss(boxes[0], boxes[1])
    apart = [loss(boxes[0, i : i + 1], boxes[1, i : i + 1]) for i in range(6)]
    assert together.equal(torch.cat(apart))


def test_disjoint_boxes_are_drawn_together_by_all_but_iou() -> None:
    for loss in LOSSES:
        box = torch.tensor([[0.0, 0, 10, 10]], requires_grad=True)
        loss(box, torch.tensor([[20.0, 20, 30, 30]])).sum().backward()
        assert (box.grad[0, :2] + box.grad[0, 2:]).sum().item() <= 0
        assert bool((box.grad == 0).all()) == (loss in (iou, iou_squared))
