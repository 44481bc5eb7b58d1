"""Width and depth multipliers: how one YOLO structure becomes nano, tiny, s, m, l and x."""

from __future__ import annotations

from yolov7.d2 import CfgNode
from yolov7.utils.errors import ConfigError


def scaled_width(cfg: CfgNode, channels: int) -> int:
    """Channels times `MODEL.YOLO.WIDTH_MUL`, rounded down.

    Raises:
        ConfigError: nothing is left.
    """
    width = int(channels * cfg.MODEL.YOLO.WIDTH_MUL)
    if width < 1:
        raise ConfigError(
            f"MODEL.YOLO.WIDTH_MUL: {cfg.MODEL.YOLO.WIDTH_MUL} leaves no channel of {channels}; "
            f"expected at least {1 / channels:g}"
        )
    return width


def scaled_depth(cfg: CfgNode, num_blocks: int) -> int:
    """Number of blocks times `MODEL.YOLO.DEPTH_MUL`, rounded.

    Raises:
        ConfigError: the multiplier is negative.
    """
    if cfg.MODEL.YOLO.DEPTH_MUL < 0:
        raise ConfigError(
            f"MODEL.YOLO.DEPTH_MUL: expected a number >= 0, got {cfg.MODEL.YOLO.DEPTH_MUL}"
        )
    return round(num_blocks * cfg.MODEL.YOLO.DEPTH_MUL)
