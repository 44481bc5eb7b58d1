"""Cross-stage-partial blocks (Wang et al., arXiv:1911.11929) as YOLOX builds them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvFactory, ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm


class Bottleneck(nn.Module):
    """1×1 then 3×3 convolution, optionally added to the input."""

    def __init__(
        self,
        channels: int,
        *,
        shortcut: bool,
        hidden_channels: int | None = None,
        spatial_conv: ConvFactory = ConvNormAct,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            channels: width of input and output.
            shortcut: whether the input is added to the output.
            hidden_channels: width between the two convolutions; `channels` when None.
            spatial_conv: type of the 3×3 convolution.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        hidden = hidden_channels or channels
        self.conv1 = ConvNormAct(channels, hidden, 1, **parts)
        self.conv2 = spatial_conv(hidden, channels, 3, **parts)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPBlock(nn.Module):
    """Two 1×1 branches of half the width, bottlenecks on one of them, joined by a 1×1.

    Maps (B, in_channels, H, W) to (B, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_blocks: int,
        shortcut: bool,
        spatial_conv: ConvFactory = ConvNormAct,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels: `out_channels` is even.
            num_blocks: number of bottlenecks; may be 0.
            shortcut, spatial_conv, norm, activation: as `Bottleneck`'s.
        """
        super().__init__()
        hidden = out_channels // 2
        parts = {"norm": norm, "activation": activation}
        self.deep = ConvNormAct(in_channels, hidden, 1, **parts)
        self.shallow = ConvNormAct(in_channels, hidden, 1, **parts)
        self.mix = ConvNormAct(2 * hidden, out_channels, 1, **parts)
        self.blocks = nn.Sequential(
            *(
                Bottleneck(hidden, shortcut=shortcut, spatial_conv=spatial_conv, **parts)
                for _ in range(num_blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([self.blocks(self.deep(x)), self.shallow(x)], dim=1))
