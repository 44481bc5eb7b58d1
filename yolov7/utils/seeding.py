"""One call that seeds every global random generator."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's (CPU and CUDA) global generators.

    Args:
        seed: any non-negative integer; NumPy uses its lowest 32 bits.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - seeding the global generator is the purpose
    torch.manual_seed(seed)
