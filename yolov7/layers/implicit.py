"""Implicit knowledge: learned vectors that no input changes (YOLOR, arXiv:2105.04206)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImplicitA(nn.Module):
    """Adds a learned number to each channel; (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.normal_(self.implicit, mean=0.0, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.implicit

    def no_weight_decay(self) -> set[str]:
        """Decay would pull it to what it starts around, without a gain in smoothness."""
        return {"implicit"}


class ImplicitM(nn.Module):
    """Multiplies each channel by a learned number; (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.normal_(self.implicit, mean=1.0, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.implicit

    def no_weight_decay(self) -> set[str]:
        """Decay would pull it to 0, away from the 1 that it starts around."""
        return {"implicit"}


class ImplicitConv(nn.Module):
    """A 1×1 convolution between `ImplicitA` and `ImplicitM`; the convolution alone afterwards."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """
        Args:
            conv: of kernel 1×1, with bias, without groups.
        """
        super().__init__()
        self.add = ImplicitA(conv.in_channels)
        self.conv = conv
        self.multiply = ImplicitM(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(self.conv(self.add(x)))

    @torch.no_grad()
    def to_deploy(self) -> nn.Conv2d:
        """With the vectors A and M: weight M·W, bias M·(b + W·A), folded in float64."""
        conv, dtype = self.conv, self.conv.weight.dtype
        weight = conv.weight.double().flatten(1)
        added, factor = (part.implicit.double().flatten() for part in (self.add, self.multiply))
        bias = factor * (conv.bias.double() + weight @ added)
        weight = (factor[:, None] * weight).view(conv.weight.shape)
        conv.weight = nn.Parameter(weight.to(dtype), conv.weight.requires_grad)
        conv.bias = nn.Parameter(bias.to(dtype), conv.bias.requires_grad)
        return conv
