"""Names of devices as a user writes them."""

from __future__ import annotations

import torch

from yolov7.utils.errors import ConfigError


def device_type(device: str, *, key: str) -> str:
    """Give the kind of a device: "cuda" for `cuda:1`.

    Args:
        device: PyTorch's name of a device, which need not be there.
        key: where the config has it, for the message.

    Raises:
        ConfigError: PyTorch knows no such name.
    """
    try:
        return torch.device(device).type
    except RuntimeError as error:
        raise ConfigError(
            f"{key} is '{device}', which is no device of PyTorch. Expected cpu, cuda, cuda:1 …"
        ) from error
