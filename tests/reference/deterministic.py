"""Numbers that any program in any language can make again: weights and images for comparisons.

A recorded output is worth something only when the inputs can be reproduced without the program
that made it, so they come from a counter and a hash instead of a library's random generator:
the splitmix64 finaliser, keyed by the CRC-32 of a text.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch


def uniform(key: str, count: int) -> np.ndarray:
    """The first `count` numbers of the stream `key`: float64 in [0, 1)."""
    mask, seed = (1 << 64) - 1, zlib.crc32(key.encode())
    golden = np.uint64(0x9E3779B97F4A7C15)
    start = np.uint64(((1 + (seed << 32)) * int(golden)) & mask)
    z = start + np.arange(count, dtype=np.uint64) * golden
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def fill_entry(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The value of the state-dict entry `key`; float64, or int64 for counters."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    u = uniform(key, count)
    if key.endswith("running_var"):
        values = 0.5 + u
    elif key.endswith("running_mean"):
        values = 0.2 * (u - 0.5)
    elif len(shape) >= 2:
        values = (2.0 * u - 1.0) * math.sqrt(3.0 * shape[0] / count)
    elif key.endswith("weight"):
        values = 0.5 + u
    else:
        values = 0.2 * (u - 0.5)
    return torch.from_numpy(values).reshape(shape)


def fill_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A whole state dict of that kind."""
    return {key: fill_entry(key, tuple(shape)) for key, shape in shapes.items()}


def image_batch(batch: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Float64 images (B, C, H, W) of waves with noise, with values of about -2.5 to 2.5."""
    b, c, i, j = np.ogrid[:batch, :channels, :height, :width]
    noise = uniform("image", batch * channels * height * width)
    waves = np.sin(0.05 * i + 0.3 * b) + np.cos(0.07 * j + c)
    return torch.from_numpy(waves + noise.reshape(waves.shape) - 0.5)
