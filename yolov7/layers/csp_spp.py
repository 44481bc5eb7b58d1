"""Spatial pyramid pooling on one of two branches, as YOLOv7 has it (arXiv:2207.02696)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm
from yolov7.layers.spp import pooled_pyramid


class SPPCSPC(nn.Module):
    """Pooling between 3×3 convolutions on one branch, a 1×1 convolution on the other.

    Maps (B, in_channels, H, W) to (B, out_channels, H, W); both branches are `out_channels` wide.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels: of the block.
            kernel_sizes: odd, ascending sides of the pooling windows.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        width, parts = out_channels, {"norm": norm, "activation": activation}
        self.bypass = ConvNormAct(in_channels, width, 1, **parts)
        self.before = nn.Sequential(
            ConvNormAct(in_channels, width, 1, **parts),
            ConvNormAct(width, width, 3, **parts),
            ConvNormAct(width, width, 1, **parts),
        )
        self.after = nn.Sequential(
            ConvNormAct((len(kernel_sizes) + 1) * width, width, 1, **parts),
            ConvNormAct(width, width, 3, **parts),
        )
        self.mix = ConvNormAct(2 * width, out_channels, 1, **parts)
        self.kernel_sizes = tuple(kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        maps = pooled_pyramid(self.before(x), self.kernel_sizes)
        pooled = self.after(torch.cat(maps, dim=1))
        return self.mix(torch.cat([pooled, self.bypass(x)], dim=1))


class TinySPPCSPC(nn.Module):
    """The same with 1×1 convolutions only, and with the largest window first (YOLOv7-tiny)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """Arguments are `SPPCSPC`'s."""
        super().__init__()
        width, parts = out_channels, {"norm": norm, "activation": activation}
        self.bypass = ConvNormAct(in_channels, width, 1, **parts)
        self.before = ConvNormAct(in_channels, width, 1, **parts)
        self.after = ConvNormAct((len(kernel_sizes) + 1) * width, width, 1, **parts)
        self.mix = ConvNormAct(2 * width, out_channels, 1, **parts)
        self.kernel_sizes = tuple(kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        maps = pooled_pyramid(self.before(x), self.kernel_sizes)
        pooled = self.after(torch.cat(maps[::-1], dim=1))
        return self.mix(torch.cat([pooled, self.bypass(x)], dim=1))
