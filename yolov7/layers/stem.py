"""First layers of backbones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm


def space_to_depth(x: Tensor) -> Tensor:
    """Move each 2×2 block of pixels into channels: (B, C, H, W) to (B, 4·C, H/2, W/2).

    The groups of C channels hold the pixels (row, column) = (0, 0), (1, 0), (0, 1), (1, 1) of a
    block, the order of YOLOv5's and YOLOX's Focus. H and W must be even.
    """
    corners = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return torch.cat(corners, dim=1)


class FocusStem(nn.Module):
    """Space-to-depth, then a convolution at half the resolution (YOLOX, section 2 of its report).

    Maps (B, in_channels, H, W) with even H, W to (B, out_channels, H/2, W/2).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        super().__init__()
        self.conv = ConvNormAct(
            4 * in_channels, out_channels, kernel_size, norm=norm, activation=activation
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(space_to_depth(x))


class ConvStem(nn.Module):
    """Three 3×3 convolutions, the middle one strided: YOLOv7's stem (arXiv:2207.02696).

    Maps (B, in_channels, H, W) with even H, W to (B, out_channels, H/2, W/2). The first
    convolution, at full resolution, has half of the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        self.convs = nn.Sequential(
            ConvNormAct(in_channels, out_channels // 2, 3, **parts),
            ConvNormAct(out_channels // 2, out_channels, 3, stride=2, **parts),
            ConvNormAct(out_channels, out_channels, 3, **parts),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)
