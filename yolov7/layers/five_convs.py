"""The block of five convolutions of YOLOv3's and YOLOv4's necks (arXiv:1804.02767, 2004.10934)."""

from __future__ import annotations

from torch import nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm
from yolov7.layers.spp import SPP


def five_convs(
    in_channels: int,
    channels: int,
    *,
    spp: bool = False,
    norm: NormFactory = yolo_batch_norm,
    activation: ModuleFactory = nn.SiLU,
) -> nn.Sequential:
    """1×1 convolutions to a width in turn with 3×3 convolutions to twice that, 1×1 at both ends.

    Maps (B, in_channels, H, W) to (B, channels, H, W).

    Args:
        in_channels, channels: widths before and after it.
        spp: put spatial pyramid pooling in the place of the middle convolution, as in YOLOv3-SPP
            and YOLOv4.
        norm, activation: as `ConvNormAct`'s.
    """
    parts = {"norm": norm, "activation": activation}
    if spp:
        middle = SPP(2 * channels, channels, **parts)
    else:
        middle = ConvNormAct(2 * channels, channels, 1, **parts)
    return nn.Sequential(
        ConvNormAct(in_channels, channels, 1, **parts),
        ConvNormAct(channels, 2 * channels, 3, **parts),
        middle,
        ConvNormAct(channels, 2 * channels, 3, **parts),
        ConvNormAct(2 * channels, channels, 1, **parts),
    )
