from __future__ import annotations

import torch

from yolov7.modeling.assignment.overlap import largest_iou


def test_by_hand() -> None:
    pred = torch.tensor([[[0.0, 0, 2, 2], [10, 10, 12, 12]], [[0, 0, 2, 2], [0, 0, 4, 4]]])
    # Image 0: halves of 2x2 boxes; image 1: one that lies in the larger prediction.
    boxes = torch.tensor([[1.0, 0, 3, 2], [0, 0, 2, 1], [2, 2, 4, 4]])
    found = largest_iou(pred, boxes, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(found, torch.tensor([[1 / 2, 0.0], [0.0, 1 / 4]]))


def test_memory_bound_and_images_without_objects_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3, 40, 2, generator=generator) * 50
    pred = torch.cat([corners, corners + 5 + torch.rand(3, 40, 2, generator=generator) * 30], -1)
    image_index = torch.tensor([0, 0, 0, 2, 2])
    boxes = pred[image_index, torch.arange(5)] + 1.5
    together = largest_iou(pred, boxes, image_index)
    assert torch.equal(largest_iou(pred, boxes, image_index, max_pairs=50), together)
    assert not together[1].any()
    alone = largest_iou(pred[2:], boxes[3:], image_index[3:] - 2)
    assert torch.equal(alone, together[2:])
    assert not largest_iou(pred, boxes[:0], image_index[:0]).any()
