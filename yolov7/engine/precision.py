"""The number format of the forward pass, and the loss scaling that it needs."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from yolov7.d2 import CfgNode
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """Mixed precision on one kind of device.

    Args:
        device_type: "cpu", "cuda" …
        dtype: the format of matrix products and convolutions; None for the weights' own.

    Attributes:
        scaler: scales the loss for float16 and does nothing for other formats.

    Raises:
        ConfigError: float16 is asked for on a device other than CUDA.
    """

    def __init__(self, device_type: str, dtype: torch.dtype | None = None):
        if dtype == torch.float16 and device_type != "cuda":
            raise ConfigError(
                "SOLVER.AMP.DTYPE float16 works on CUDA only, but MODEL.DEVICE is "
                f"'{device_type}'. Set SOLVER.AMP.DTYPE bfloat16 or SOLVER.AMP.ENABLED False."
            )
        self.device_type = device_type
        self.dtype = dtype
        self.scaler = torch.amp.GradScaler(device_type, enabled=dtype == torch.float16)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Precision:
        """Read `SOLVER.AMP` and `MODEL.DEVICE`."""
        name = cfg.SOLVER.AMP.DTYPE
        if name not in _DTYPES:
            raise ConfigError(f"SOLVER.AMP.DTYPE: there is no '{name}'.{suggest(name, _DTYPES)}")
        device_type = torch.device(cfg.MODEL.DEVICE).type
        return cls(device_type, _DTYPES[name] if cfg.SOLVER.AMP.ENABLED else None)

    def autocast(self) -> AbstractContextManager:
        """Return the context for a forward pass."""
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None)
