"""Pasting small masks, predicted inside boxes, into the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def paste_masks(
    masks: torch.Tensor, boxes: torch.Tensor, image_size: tuple[int, int], threshold: float
) -> torch.Tensor:
    """Resample masks from their boxes' grids onto the pixels of the image.

    Args:
        masks: (N, M, M), probabilities; mask i covers box i.
        boxes: (N, 4), not empty.
        image_size: (height, width).
        threshold: a pixel belongs to the object from this probability on, in [0, 1].

    Returns:
        bool (N, height, width).
    """
    height, width = image_size
    pasted = torch.zeros(len(masks), height, width, dtype=torch.bool, device=masks.device)
    limits = boxes.new_tensor([width, height]).long()
    # One pixel around the box: bilinear values reach beyond its edge.
    starts = (boxes[:, :2].floor().long() - 1).clamp(min=0)
    ends = torch.minimum(boxes[:, 2:].ceil().long() + 1, limits)
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        (left, top), (right, bottom) = start, end
        if right <= left or bottom <= top:
            continue
        x = _grid_coordinates(left, right, boxes[row, 0], boxes[row, 2])
        y = _grid_coordinates(top, bottom, boxes[row, 1], boxes[row, 3])
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        values = F.grid_sample(masks[row][None, None].float(), grid[None], align_corners=False)
        pasted[row, top:bottom, left:right] = values[0, 0] >= threshold
    return pasted


def _grid_coordinates(begin: int, end: int, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Centers of pixels begin..end - 1 in a frame where the side low..high runs from -1 to 1."""
    centers = torch.arange(begin, end, dtype=torch.float32, device=low.device) + 0.5
    return (centers - low) / (high - low) * 2 - 1
