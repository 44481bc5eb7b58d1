"""What halves the resolution between the stages of YOLOv7 (arXiv:2207.02696)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm


class PoolConvTransition(nn.Module):
    """A strided convolution and max-pooling side by side, each for half of the output.

    The concatenation of 3×3 stride 2 (1×1(x)) and 1×1 (maxpool(x)). Maps (B, in_channels, H, W)
    with even H, W to (B, out_channels, H/2, W/2).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels: of the transition; an odd channel is the convolution's.
            hidden_channels: width between the two convolutions of the strided branch.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        half, parts = out_channels // 2, {"norm": norm, "activation": activation}
        self.pooled = ConvNormAct(in_channels, half, 1, **parts)
        self.squeeze = ConvNormAct(in_channels, hidden_channels, 1, **parts)
        self.strided = ConvNormAct(hidden_channels, out_channels - half, 3, stride=2, **parts)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(F.max_pool2d(x, 2, stride=2))
        return torch.cat([self.strided(self.squeeze(x)), pooled], dim=1)


TransitionFactory = Callable[..., nn.Module]
"""Called `(in_channels, out_channels, norm=…, activation=…)`; the module halves the resolution."""


def conv_transition(in_channels: int, out_channels: int, **parts: Any) -> ConvNormAct:
    """One strided 3×3 convolution."""
    return ConvNormAct(in_channels, out_channels, 3, stride=2, **parts)


def mp_transition(in_channels: int, out_channels: int, **parts: Any) -> PoolConvTransition:
    """The transition of YOLOv7 and YOLOv7-X: both branches squeeze to half of the output first."""
    return PoolConvTransition(in_channels, out_channels, hidden_channels=out_channels // 2, **parts)


def down_c_transition(in_channels: int, out_channels: int, **parts: Any) -> PoolConvTransition:
    """The transition of YOLOv7-E6, D6 and E6E: the strided branch keeps the input's width first."""
    return PoolConvTransition(in_channels, out_channels, hidden_channels=in_channels, **parts)


def pool_transition(in_channels: int, out_channels: int, **parts: Any) -> nn.Module:
    """The transition of YOLOv7-tiny's backbone: max-pooling alone.

    Raises:
        ValueError: the widths differ, which pooling cannot change.
    """
    if in_channels != out_channels:
        raise ValueError(
            f"max-pooling cannot turn {in_channels} channels into {out_channels}; expected the same"
        )
    return nn.MaxPool2d(2, stride=2)


TRANSITIONS: dict[str, TransitionFactory] = {
    "conv": conv_transition,
    "mp": mp_transition,
    "down_c": down_c_transition,
    "pool": pool_transition,
}
"""Transitions by the name that a config gives them."""
