"""What adds levels to a pyramid that are coarser than the backbone's maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

TopBlockFactory = Callable[[int], nn.Module]
"""Makes a top block for a width. It has `num_levels` and maps the pyramid's coarsest map
(B, C, H, W) to a list of so many, each half as large as the one before, odd sides rounded up."""


class NoTopBlock(nn.Module):
    """Adds nothing."""

    num_levels = 0

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, coarsest: Tensor) -> list[Tensor]:
        return []


class SubsampledTopBlock(nn.Module):
    """Adds one level: every second row and column (arXiv:1612.03144, section 4.1)."""

    num_levels = 1

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, coarsest: Tensor) -> list[Tensor]:
        return [F.max_pool2d(coarsest, kernel_size=1, stride=2)]


class PooledTopBlock(nn.Module):
    """Adds two levels by 3×3 maxima of stride 2, as EfficientDet (arXiv:1911.09070)."""

    num_levels = 2

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, coarsest: Tensor) -> list[Tensor]:
        first = F.max_pool2d(coarsest, kernel_size=3, stride=2, padding=1)
        return [first, F.max_pool2d(first, kernel_size=3, stride=2, padding=1)]


class StridedConvTopBlock(nn.Module):
    """Adds two levels by strided 3×3 convolutions, ReLU between (arXiv:1708.02002, section 4)."""

    num_levels = 2

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: width of the coarsest map and of the added ones.
        """
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for conv in (self.first, self.second):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, coarsest: Tensor) -> list[Tensor]:
        first = self.first(coarsest)
        return [first, self.second(F.relu(first))]


TOP_BLOCKS: Mapping[str, TopBlockFactory] = {
    "": NoTopBlock,
    "max_pool": SubsampledTopBlock,
    "max_pools": PooledTopBlock,
    "convs": StridedConvTopBlock,
}
"""Top blocks by the name that a config gives them."""
