"""Which activation a head has."""

from __future__ import annotations

from yolov7.d2 import CfgNode
from yolov7.layers import ModuleFactory, find_activation


def head_activation(cfg: CfgNode, default: str) -> ModuleFactory:
    """What makes `MODEL.HEAD.ACTIVATION`.

    Args:
        cfg: the config.
        default: name of the one to take when the key is empty.

    Raises:
        ConfigError: there is no such activation.
    """
    return find_activation(cfg.MODEL.HEAD.ACTIVATION or default, key="MODEL.HEAD.ACTIVATION")
