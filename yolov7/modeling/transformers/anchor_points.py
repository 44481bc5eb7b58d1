"""The points that Anchor DETR's queries start from (arXiv:2109.07107, section 3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedPoints(nn.Module):
    """Points that training moves; at first anywhere in the image, later perhaps beside it."""

    def __init__(self, num_points: int) -> None:
        """
        Args:
            num_points: N.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.rand(num_points, 2))

    def forward(self) -> Tensor:
        """(N, 2), x and y in units of the image's width and height."""
        return self.weight


class GridPoints(nn.Module):
    """Points that stay: the centres of the cells of a square grid, column by column."""

    def __init__(self, num_points: int) -> None:
        """
        Args:
            num_points: how many are wished for, at least 1; the grid has the nearest square, N.
        """
        super().__init__()
        side = round(math.sqrt(num_points))
        # No weight, since it follows from the number; and whole numbers, which no cast rounds.
        cells = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        self.register_buffer("cells", cells.view(-1, 2), persistent=False)
        self.side = side

    def forward(self) -> Tensor:
        """(N, 2), float32, x and y in units of the image's width and height."""
        return (self.cells.to(torch.float32) + 0.5) / self.side


POINTS: dict[str, type[nn.Module]] = {"learned": LearnedPoints, "grid": GridPoints}
"""Names of the configs; each made with the number of points."""
