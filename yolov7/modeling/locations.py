"""Where the cells of dense heads lie in the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cell_centers(
    level_sizes: Sequence[tuple[int, int]],
    level_strides: Sequence[int],
    *,
    num_anchors: int = 1,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Centres and strides of all cells in the order level, anchor, row, column.

    Args:
        level_sizes: ``(rows, columns)`` of every level.
        level_strides: pixels per cell of every level.
        num_anchors: A, how often each level's grid is repeated.
        dtype: of the results; float32 or more (half cannot hold the centres of large images).
        device: of the results.

    Returns:
        centers ``(P, 2)`` = ``((column + ½)·stride, (row + ½)·stride)`` pixels, and
        strides ``(P,)``, with P = A · Σ rows · columns.

    Raises:
        ValueError: when there are not as many strides as levels.
    """
    if len(level_sizes) != len(level_strides):
        raise ValueError(f"{len(level_sizes)} level sizes but {len(level_strides)} strides")
    centers, strides = [], []
    for (rows, columns), stride in zip(level_sizes, level_strides, strict=True):
        x = (torch.arange(columns, dtype=dtype, device=device) + 0.5) * stride
        y = (torch.arange(rows, dtype=dtype, device=device) + 0.5) * stride
        grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)
        centers.append(grid.reshape(-1, 2).repeat(num_anchors, 1))
        strides.append(
            torch.full((num_anchors * rows * columns,), stride, dtype=dtype, device=device)
        )
    if not centers:
        return torch.zeros((0, 2), dtype=dtype, device=device), torch.zeros(
            0, dtype=dtype, device=device
        )
    return torch.cat(centers), torch.cat(strides)
