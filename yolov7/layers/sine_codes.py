"""Sines and cosines of a number (Vaswani et al., arXiv:1706.03762, section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor


def sine_codes(angles: Tensor, channels: int, *, temperature: float = 10000.0) -> Tensor:
    """Sine and cosine of each angle at many wavelengths, in turn, the shortest wave first.

    Args:
        angles: (...), at least float32; the shortest wave repeats after 2π.
        channels: D, even.
        temperature: ratio of the longest wave to the shortest, nearly.

    Returns:
        (..., D) in the angles' dtype. The wavelengths are float32 whatever the dtype, as in the
        published models.
    """
    exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=angles.device) / channels
    phases = angles[..., None] / temperature**exponents
    return torch.stack([phases.sin(), phases.cos()], dim=-1).flatten(-2)
