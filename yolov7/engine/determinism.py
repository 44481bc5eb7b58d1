"""PyTorch's switches for results that are the same bits every time."""

from __future__ import annotations

import logging
import os

import torch

from yolov7.utils.errors import ConfigError

logger = logging.getLogger(__name__)

# Workspaces with which cuBLAS gives the same bits on several streams, says NVIDIA.
_EXACT_WORKSPACES = (":4096:8", ":16:8")


def use_exact_algorithms() -> None:
    """Let PyTorch choose only algorithms that give the same bits every time, on GPUs too.

    An operation that has none goes on and warns by its name when it first runs; the warnings
    are sent to the logger `py.warnings`. To be called before CUDA is used.

    Raises:
        ConfigError: the environment sets a workspace of cuBLAS that forbids it.
    """
    workspace = os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _EXACT_WORKSPACES[0])
    if workspace not in _EXACT_WORKSPACES:
        raise ConfigError(
            "SOLVER.DETERMINISTIC is True, but the environment variable CUBLAS_WORKSPACE_CONFIG is "
            f"'{workspace}'. Unset it, or set one of {', '.join(_EXACT_WORKSPACES)}."
        )
    logging.captureWarnings(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    logger.info(
        "SOLVER.DETERMINISTIC: only exact algorithms; an operation without one is named in a "
        "warning when it first runs."
    )
