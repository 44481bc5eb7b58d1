"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

NormFactory = Callable[[int], nn.Module]
"""Makes a normalisation layer for a number of channels."""


def yolo_batch_norm(num_channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of the YOLO families: epsilon 1e-3, momentum 0.03."""
    return nn.BatchNorm2d(num_channels, eps=1e-3, momentum=0.03)
