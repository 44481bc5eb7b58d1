"""Cropping of masks against torchvision's RoIAlign."""

from __future__ import annotations

import torch
from torchvision.ops import roi_align

from yolov7.d2.embedded.mask_crop import crop_and_resize_masks


def reference(masks: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    rows = torch.arange(len(boxes), dtype=torch.float32)[:, None]
    regions = torch.cat((rows, boxes), dim=1)
    return roi_align(masks[:, None].float(), regions, (size, size), aligned=True)[:, 0]


def test_it_equals_roi_align_also_outside_of_the_image():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(300, 20, 30, generator=generator) > 0.5
    corners = torch.rand(300, 2, generator=generator) * 50 - 15
    boxes = torch.cat((corners, corners + torch.rand(300, 2, generator=generator) * 40), dim=1)
    for size in (1, 7, 28):
        crops = crop_and_resize_masks(masks, boxes, size)
        assert torch.allclose(crops, reference(masks, boxes, size), atol=2e-5)


def test_whole_pixels_boxes_agree_also_after_the_threshold():
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(200, 16, 16, generator=generator) > 0.5
    corners = torch.randint(0, 12, (200, 2), generator=generator).float()
    boxes = torch.cat((corners, corners + torch.randint(1, 9, (200, 2), generator=generator)), 1)
    ours = crop_and_resize_masks(masks, boxes, 8) >= 0.5
    assert torch.equal(ours, reference(masks, boxes, 8) >= 0.5)


def test_boxes_without_area_and_no_boxes():
    masks = torch.ones(3, 4, 4)
    boxes = torch.tensor([[1.0, 1, 1, 3], [3, 3, 1, 1], [0, 0, 4, 4]])
    assert torch.equal(crop_and_resize_masks(masks, boxes, 2), reference(masks, boxes, 2))
    assert crop_and_resize_masks(masks[:0], boxes[:0], 2).shape == (0, 2, 2)
