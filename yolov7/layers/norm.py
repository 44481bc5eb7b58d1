"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from yolov7.utils.expectations import expect

NormFactory = Callable[[int], nn.Module]
"""Makes a normalisation layer for a number of channels."""


def yolo_batch_norm(num_channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of the YOLO families: epsilon 1e-3, momentum 0.03."""
    return nn.BatchNorm2d(num_channels, eps=1e-3, momentum=0.03)


def darknet_batch_norm(num_channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with darknet's epsilon, 1e-5, which weights of YOLOv4 are trained with.

    The momentum is the other YOLO families': darknet's own, 0.01, is for long trainings.
    """
    return nn.BatchNorm2d(num_channels, eps=1e-5, momentum=0.03)


def batch_norm_of(epsilon: float, *, key: str) -> NormFactory:
    """What makes batch normalisation with another epsilon and the YOLO families' momentum, 0.03.

    Args:
        epsilon: added to the variance.
        key: the config key that holds it, for the error message.

    Raises:
        ConfigError: the epsilon is not positive.
    """
    expect(epsilon > 0, key, "a number above 0", epsilon)
    return partial(nn.BatchNorm2d, eps=epsilon, momentum=0.03)


def group_norm(num_channels: int) -> nn.GroupNorm:
    """Group normalisation of 32 groups.

    Raises:
        ConfigError: the groups do not divide the channels.
    """
    fits = num_channels % 32 == 0
    expect(fits, "norm GN", "a multiple of 32 channels (MODEL.NECK.CHANNELS)", num_channels)
    return nn.GroupNorm(32, num_channels)


NORMS: dict[str, NormFactory] = {"": nn.Identity, "GN": group_norm}
"""Normalisations by the names that configs give, as detectron2 calls them."""
