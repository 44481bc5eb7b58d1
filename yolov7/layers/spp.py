"""Spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm


class SPP(nn.Module):
    """Squeeze, max-pool over several windows, concatenate, mix (He et al., arXiv:1406.4729).

    Maps (B, in_channels, H, W) to (B, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int | None = None,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels: of the block.
            hidden_channels: width that is pooled; `in_channels // 2` when None.
            kernel_sizes: odd, ascending sides of the pooling windows.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        hidden = hidden_channels or in_channels // 2
        parts = {"norm": norm, "activation": activation}
        self.squeeze = ConvNormAct(in_channels, hidden, 1, **parts)
        self.mix = ConvNormAct(hidden * (len(kernel_sizes) + 1), out_channels, 1, **parts)
        self.kernel_sizes = tuple(kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat(pooled_pyramid(self.squeeze(x), self.kernel_sizes), dim=1))


def pooled_pyramid(x: Tensor, kernel_sizes: Sequence[int]) -> list[Tensor]:
    """Maxima of `x` over windows of stride 1, of unchanged size, after `x` itself.

    The maximum over a window of 9 is the maximum over a window of 5 of maxima over 5, so each
    pooling continues from the one before: the same numbers for a fraction of the work.

    Args:
        x: (B, C, H, W).
        kernel_sizes: odd, ascending sides of the windows.

    Returns:
        `x` and one map for each window.
    """
    maps = [x]
    for smaller, larger in zip([1, *kernel_sizes], kernel_sizes, strict=False):
        size = larger - smaller + 1
        maps.append(F.max_pool2d(maps[-1], size, stride=1, padding=size // 2))
    return maps
