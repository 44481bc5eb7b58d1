"""Resampling bitmaps inside boxes.

The same as RoIAlign (He et al., "Mask R-CNN", section 3) with half-pixel alignment and one map per
box. For one map it separates into rows and columns, which makes it two matrix products.
"""

from __future__ import annotations

import torch


def crop_and_resize_masks(masks: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Average each mask over the cells of a square grid laid over its box.

    Args:
        masks: (N, H, W).
        boxes: (N, 4), xyxy pixels; mask i is sampled in box i.
        size: cells along each side.

    Returns:
        float32 (N, size, size); outside of the image masks are zero.
    """
    height, width = masks.shape[1:]
    rows = _sampling_weights(boxes[:, 1], boxes[:, 3], size, height)
    columns = _sampling_weights(boxes[:, 0], boxes[:, 2], size, width)
    return rows @ masks.float() @ columns.transpose(1, 2)


def _sampling_weights(
    low: torch.Tensor, high: torch.Tensor, size: int, length: int
) -> torch.Tensor:
    """Return (N, size, length): how much each pixel counts in each cell of N sides.

    A cell has so many samples, evenly spread, that they are at most a pixel apart; each is
    interpolated between its two nearest pixel centers.
    """
    low = low.float() - 0.5  # pixel i has its center at coordinate i from here on
    cell = (high.float() - 0.5 - low) / size
    count = cell.ceil().clamp(min=0)
    most = int(count.max()) if len(count) else 0
    weights = low.new_zeros(len(low), size, length)
    if most == 0 or length == 0:
        return weights
    sample = torch.arange(most, device=low.device)
    inside_cell = (sample + 0.5) / count[:, None]
    position = torch.arange(size, device=low.device)[:, None] + inside_cell[:, None]
    position = low[:, None, None] + position * cell[:, None, None]
    used = (sample < count[:, None])[:, None] & (position >= -1) & (position <= length)
    share = used / count.clamp(min=1)[:, None, None]
    position = position.nan_to_num(0).clamp(0, length - 1)
    before = position.floor().long()
    part = position - before
    weights.scatter_add_(2, before, share * (1 - part))
    weights.scatter_add_(2, (before + 1).clamp(max=length - 1), share * part)
    return weights
