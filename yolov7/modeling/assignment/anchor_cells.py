"""Which anchors of which cells may answer for an object: YOLOv5's and YOLOv7's search."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.modeling.predictions import DensePredictions
from yolov7.utils.errors import ConfigError

REACH = {3: 0.5, 5: 1.0}
"""How far, in cells, an object's centre reaches to the neighbours, by the number of cells."""


def check_num_cells(num_cells: int) -> int:
    """The number itself when it is one that the search knows.

    Raises:
        ConfigError: it is neither 3 nor 5.
    """
    if num_cells not in REACH:
        raise ConfigError(
            f"the search by anchors takes 3 or 5 cells around a centre, not {num_cells}. Check "
            "MODEL.ASSIGNER.CELLS and MODEL.CRITERION.AUXILIARY_CELLS"
        )
    return num_cells


def anchor_cells(
    boxes: Tensor, predictions: DensePredictions, *, max_ratio: float, num_cells: int
) -> tuple[Tensor, Tensor]:
    """Find the predictions whose anchor is like an object and whose cell is near its centre.

    On each level an anchor fits an object when neither side is ``max_ratio`` times as long, or as
    short, as the anchor's. The cells are the one that holds the centre and, out of its left, upper,
    right and lower neighbour, with ``num_cells`` 3 the nearer of each axis (at most 3 cells), with
    5 all four. Neighbours exist only where the centre is more than a cell from the map's border.

    A centre exactly between two cells of an axis, with ``num_cells`` 3, is as near to the cell
    before as to itself; as in the authors' code its own cell is then found a second time.

    Args:
        boxes: ``(M, 4)`` xyxy pixels. An object whose centre is outside a map has no cell there.
        predictions: whose grids and anchors to search.
        max_ratio: of sides, exclusive.
        num_cells: 3 or 5.

    Returns:
        ``(M, S)`` int64 predictions in ``[0, P)`` and ``(M, S)`` bool: whether each is found;
        S = L · A · 5, ordered by level, anchor and own, left, upper, right, lower cell.

    Raises:
        ValueError: for predictions without anchors.
    """
    if predictions.anchors is None:
        raise ValueError("a search by anchors needs predictions with anchors")
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    indices, founds = [], []
    start = 0
    for rows, columns in predictions.level_sizes:
        cells = rows * columns
        if cells == 0:
            continue
        stop = start + predictions.num_anchors * cells
        ratio = size[:, None] / predictions.anchors[start:stop:cells]
        fits = (torch.maximum(ratio, 1 / ratio) < max_ratio).all(dim=-1)
        column, row, near = _near_cells(
            middle / predictions.strides[start], rows, columns, REACH[num_cells]
        )
        first = torch.arange(start, stop, cells, device=boxes.device)
        indices.append((first[:, None] + (row * columns + column)[:, None]).flatten(1))
        founds.append((fits[:, :, None] & near[:, None]).flatten(1))
        start = stop
    if not indices:
        nothing = torch.zeros((len(boxes), 0), dtype=torch.int64, device=boxes.device)
        return nothing, nothing.bool()
    return torch.cat(indices, dim=1), torch.cat(founds, dim=1)


def _near_cells(
    points_grid: Tensor, rows: int, columns: int, reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The own cell and four neighbours of ``(M, 2)`` points in cells, each ``(M, 5)``.

    Returns:
        columns and rows, kept within the map, and whether the cell counts.
    """
    x, y = points_grid.unbind(1)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    left, right = _reaches(x, columns, reach)
    upper, lower = _reaches(y, rows, reach)
    column = torch.stack([x, x - reach, x, x + reach, x], dim=1)
    row = torch.stack([y, y, y - reach, y, y + reach], dim=1)
    near = torch.stack([torch.ones_like(left), left, upper, right, lower], dim=1)
    return _cell(column, columns), _cell(row, rows), near & inside[:, None]


def _reaches(x: Tensor, size: int, reach: float) -> tuple[Tensor, Tensor]:
    """Whether points ``(M,)`` on an axis of ``size`` cells reach into the cell before and after."""
    to_end = size - x
    return (x.frac() < reach) & (x > 1), (to_end.frac() < reach) & (to_end > 1)


def _cell(x: Tensor, size: int) -> Tensor:
    return x.floor().nan_to_num(0.0).clamp(0, size - 1).long()
