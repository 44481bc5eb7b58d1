"""Which maps of a backbone a neck takes, and what its own are called."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from yolov7.d2 import ShapeSpec
from yolov7.utils.errors import ConfigError


def select_by_stride(input_shape: Mapping[str, ShapeSpec], strides: Sequence[int]) -> list[str]:
    """Names of the maps that have the given strides, in ascending order of stride.

    Where a backbone has several maps of a stride, the last one is taken: backbones list them from
    shallow to deep.

    Args:
        input_shape: a backbone's `output_shape()`.
        strides: the strides to find.

    Raises:
        ConfigError: no map has one of the strides; lists those there are.
    """
    by_stride = {spec.stride: name for name, spec in input_shape.items()}
    missing = [stride for stride in strides if stride not in by_stride]
    if missing or not strides:
        have = ", ".join(f"{name} (stride {s.stride})" for name, s in input_shape.items())
        wanted = missing[0] if missing else "none"
        raise ConfigError(
            f"MODEL.NECK.IN_STRIDES: stride {wanted} is not among the backbone's maps: {have}"
        )
    return [by_stride[stride] for stride in sorted(strides)]


def check_doubling(strides: Sequence[int], *, neck: str, at_least: int) -> None:
    """Make sure that every level halves the resolution of the one before.

    Args:
        strides: ascending.
        neck: its name, for the error message.
        at_least: how many strides the neck needs.

    Raises:
        ConfigError: there are fewer, or one is not twice the one before.
    """
    doubling = all(2 * fine == coarse for fine, coarse in itertools.pairwise(strides))
    if len(strides) < at_least or not doubling:
        raise ConfigError(
            f"MODEL.NECK.IN_STRIDES: {neck} wants {at_least} or more strides, each twice the one "
            f"before, got {list(strides)}"
        )


def pyramid_shape(strides: Sequence[int], channels: Sequence[int]) -> dict[str, ShapeSpec]:
    """What a pyramid's `output_shape()` says, in the order of the levels.

    Args:
        strides: of the levels.
        channels: as many widths.
    """
    return {
        pyramid_name(stride): ShapeSpec(channels=width, stride=stride)
        for stride, width in zip(strides, channels, strict=True)
    }


def pyramid_name(stride: int) -> str:
    """Name of a pyramid's level: `p3` for stride 8, `p4` for 16.

    Raises:
        ConfigError: the stride is not a power of two.
    """
    level = stride.bit_length() - 1
    if stride != 1 << level:
        raise ConfigError(f"strides of a feature pyramid are powers of two, got {stride}")
    return f"p{level}"


def tap_name(stride: int) -> str:
    """Name of a tap for deep supervision: `aux3` for stride 8, `aux4` for 16.

    Raises:
        ConfigError: the stride is not a power of two.
    """
    return f"aux{pyramid_name(stride).removeprefix('p')}"


def enlarge_to(coarse: Tensor, fine: Tensor) -> Tensor:
    """Repeat the cells of a map so that it is as large as a finer one.

    Where a side of the finer map is odd, and the coarser one was made by rounding up, its last cell
    is repeated once less.

    Args:
        coarse: (B, C, h, w).
        fine: (B, any, H, W); only its size matters.

    Returns:
        (B, C, H, W).
    """
    return F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
