"""Which pixels of a batch, and which cells of its maps, are padding."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.d2 import ImageList


def padding_mask(images: ImageList) -> Tensor:
    """Mark the pixels beside the images of a batch, which lie in its top-left corner.

    Args:
        images: the batch, with each image's (height, width).

    Returns:
        (B, H, W) bool on the batch's device, True on padding.
    """
    height, width = images.tensor.shape[-2:]
    mask = torch.ones(
        (len(images.image_sizes), height, width), dtype=torch.bool, device=images.tensor.device
    )
    for index, (image_height, image_width) in enumerate(images.image_sizes):
        mask[index, :image_height, :image_width] = False
    return mask


def has_padding(images: ImageList) -> bool:
    """Say whether any image is smaller than the batch; known without asking a device."""
    height, width = images.tensor.shape[-2:]
    return any(tuple(size) != (height, width) for size in images.image_sizes)


def resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a mask to the size of a feature map: cell i reads pixel floor(i · H / h).

    A cell is padding where its top-left pixel is; DETR's rule (arXiv:2005.12872), so an image
    always keeps its first cell.

    Args:
        mask: (B, H, W).
        size: (h, w) of the map.

    Returns:
        (B, h, w).
    """
    rows, columns = (
        torch.arange(cells, device=mask.device) * pixels // cells
        for cells, pixels in zip(size, mask.shape[-2:], strict=True)
    )
    return mask[:, rows[:, None], columns]
