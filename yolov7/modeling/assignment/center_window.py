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

    Looks only at the few cells of each level's grid that can be so near, so that its cost does not
    grow with the size of the image.

    Args:
        centers: ``(M, 2)`` points ``(x, y)`` in pixels; they may lie outside the image.
        predictions: whose grids to search.
        radius: half side of the window in strides.

    Returns:
        ``(M, S)`` int64 predictions in ``[0, P)``, ascending along each row where they are inside
        (arbitrary elsewhere), and ``(M, S)`` bool: whether the cell exists and is inside.
    """
    # One cell further than can be inside: the strict comparison decides, and rounding in the
    # division by a stride that is no power of two cannot lose a cell.
    reach = math.ceil(radius + 0.5)
    steps = torch.arange(-reach, reach + 1, device=centers.device)
    indices, insides = [], []
    start = 0
    for rows, columns in predictions.level_sizes:
        count = rows * columns
        if count == 0:
            continue
        cell = (centers / predictions.strides[start]).floor()
        column = _near(cell[:, 0], steps, columns)
        row = _near(cell[:, 1], steps, rows)
        exists = _exists(row, rows)[:, :, None] & _exists(column, columns)[:, None]
        place = row.clamp(0, rows - 1)[:, :, None] * columns + column.clamp(0, columns - 1)[:, None]
        place = (start + place).flatten(1)
        inside = in_window(centers[:, None], predictions, place, radius=radius)
        inside &= exists.flatten(1)
        for anchor in range(predictions.num_anchors):
            indices.append(place + anchor * count)
            insides.append(inside)
        start += count * predictions.num_anchors
    return torch.cat(indices, dim=1), torch.cat(insides, dim=1)


def _near(cell: Tensor, steps: Tensor, size: int) -> Tensor:
    """``(M, len(steps))`` cells around ``cell``; those of points far outside do not exist."""
    far = steps.shape[0]
    # Bounded before the conversion: integers that do not fit are undefined.
    return cell.nan_to_num(-far).clamp(-far, size + far).long()[:, None] + steps


def _exists(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)
