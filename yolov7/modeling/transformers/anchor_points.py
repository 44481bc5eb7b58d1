"""The points that Anchor DETR's queries start from (arXiv:2109.07107, section 3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from yolov7.utils.errors import ConfigError


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
            num_points: how many are wished for; the grid has the nearest square of points, N.

        Raises:
            ConfigError: no points are wished for.
        """
        super().__init__()
        side = round(math.sqrt(max(num_points, 0)))
        if side < 1:
            raise ConfigError(f"expected at least one anchor point, got {num_points}")
        places = (torch.arange(side, dtype=torch.float32) + 0.5) / side
        grid = torch.cartesian_prod(places, places)
        # No weight: it follows from the number.
        self.register_buffer("weight", grid, persistent=False)

    def forward(self) -> Tensor:
        """(N, 2), x and y in units of the image's width and height."""
        return self.weight


POINTS: dict[str, type[nn.Module]] = {"learned": LearnedPoints, "grid": GridPoints}
"""Names of the configs; each made with the number of points."""
