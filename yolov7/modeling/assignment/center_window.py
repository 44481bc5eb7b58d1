"""Which cells of the grids lie near an object's centre."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from yolov7.modeling.predictions import DensePredictions


def in_window(
    centers: Tensor, predictions: DensePredictions, prediction_index: Tensor, *, radius: float
) -> Tensor:
    """Whether cells' centres lie within ``±radius`` strides of points, both axes, strictly.

    Args:
        centers: ``(..., 2)`` points ``(x, y)`` in pixels.
        predictions: whose ``centers`` and ``strides`` decide.
        prediction_index: ``(...)`` int64 in ``[0, P)``, broadcast against the points.
        radius: half side of the window in strides.
    """
    distance = (predictions.centers[prediction_index] - centers).abs().amax(dim=-1)
    return distance < radius * predictions.strides[prediction_index]


def center_windows(
    centers: Tensor, predictions: DensePredictions, *, radius: float
) -> tuple[Tensor, Tensor]:
    """Find the predictions whose cells lie within ``±radius`` strides of M points.

    The same as :func:`in_window` for all pairs, but it looks only at the few columns and rows of
    each level's grid that can be so near: its cost does not grow with the size of the image.

    Args:
        centers: ``(M, 2)`` points ``(x, y)`` in pixels; they may lie outside the image.
        predictions: whose grids to search.
        radius: half side of the window in strides.

    Returns:
        ``(M, S)`` int64 predictions in ``[0, P)``, ascending along each row where they are inside
        (arbitrary elsewhere), and ``(M, S)`` bool: whether the cell exists and is inside.
    """
    x, y = centers[:, :1], centers[:, 1:]
    indices, insides = [], []
    start = 0
    for rows, columns in predictions.level_sizes:
        count = rows * columns
        if count == 0:
            continue
        grid = predictions.centers[start : start + count].view(rows, columns, 2)
        stride = predictions.strides[start]
        column, near_in_x = _near(x, grid[0, :, 0], stride, radius)
        row, near_in_y = _near(y, grid[:, 0, 1], stride, radius)
        place = (row[:, :, None] * columns + column[:, None] + start).flatten(1)
        inside = (near_in_y[:, :, None] & near_in_x[:, None]).flatten(1)
        for anchor in range(predictions.num_anchors):
            indices.append(place + anchor * count)
            insides.append(inside)
        start += count * predictions.num_anchors
    return torch.cat(indices, dim=1), torch.cat(insides, dim=1)


def _near(point: Tensor, grid: Tensor, stride: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Cells of one axis around points.

    Args:
        point: ``(M, 1)`` pixels.
        grid: ``(n,)`` the cells' centres on this axis.
        stride: scalar.
        radius: in strides.

    Returns:
        ``(M, s)`` cells, kept within the grid, and ``(M, s)`` bool: whether they are near. An
        interval of 2·radius strides without its ends holds at most ⌈2·radius⌉ centres, and the
        first is after ``point / stride − ½ − radius``.
    """
    size = grid.shape[0]
    steps = torch.arange(math.ceil(2 * radius) + 1, device=point.device)
    # Bounded before the conversion: integers that do not fit are undefined.
    before = (point / stride - (0.5 + radius)).floor().nan_to_num(size)
    index = before.clamp(-len(steps), size).long() + steps
    cell = index.clamp(0, size - 1)
    near = (grid[cell] - point).abs() < radius * stride
    return cell, near & (index == cell)
