"""Activations by name: the one place where a config's string becomes a type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

ModuleFactory = Callable[[], nn.Module]
"""Makes a module without arguments, as an activation's class does."""

ACTIVATIONS: dict[str, ModuleFactory] = {
    "silu": partial(nn.SiLU, inplace=True),
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, negative_slope=0.1, inplace=True),
    "mish": partial(nn.Mish, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
    "gelu": nn.GELU,
    "identity": nn.Identity,
}


def find_activation(name: str, *, key: str = "activation") -> ModuleFactory:
    """Return what makes the activation `name`.

    Args:
        name: a key of `ACTIVATIONS`.
        key: the config key that holds the name, for the error message.

    Raises:
        ConfigError: there is no such activation; the message suggests the nearest one.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"{key}: there is no activation '{name}'.{suggest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]
