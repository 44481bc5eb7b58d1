"""Masks over the padded batch, brought to the pixels of the original images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def full_image_masks(
    mask_logits: Tensor,
    *,
    frame: tuple[int, int],
    resized: tuple[int, int],
    original: tuple[int, int],
    max_pixels: int = 2**26,
) -> Tensor:
    """Masks of one image, as large as the image: where the probability is above ½.

    DETR's rule (arXiv:2005.12872): bilinearly to the padded frame, then the image's part of it,
    of which pixel i of the original takes pixel ``floor(i · resized / original)``.

    Args:
        mask_logits: ``(N, h, w)`` over the padded frame.
        frame: (height, width) of the padded batch.
        resized: (height, width) of the image in it, at the top left.
        original: (height, width) of the result.
        max_pixels: bound on the pixels of the frames in memory at once.

    Returns:
        ``(N, height, width)`` bool.
    """
    rows, columns = (
        torch.arange(size, device=mask_logits.device) * inside // size
        for size, inside in zip(original, resized, strict=True)
    )
    masks = torch.empty((len(mask_logits), *original), dtype=torch.bool, device=rows.device)
    at_once = max(1, max_pixels // (frame[0] * frame[1]))
    for start in range(0, len(mask_logits), at_once):
        part = slice(start, start + at_once)
        large = functional.interpolate(mask_logits[part, None], frame, mode="bilinear")
        masks[part] = (large[:, 0] > 0)[:, rows[:, None], columns]
    return masks
