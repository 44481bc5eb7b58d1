"""Width and depth multipliers: how one YOLO structure becomes nano, tiny, s, m, l and x."""

from __future__ import annotations

from yolov7.d2 import CfgNode
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect


def scaled_width(cfg: CfgNode, channels: int) -> int:
    """Channels, at least 1, times `MODEL.YOLO.WIDTH_MUL`, rounded down.

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
    multiplier = cfg.MODEL.YOLO.DEPTH_MUL
    expect(multiplier >= 0, "MODEL.YOLO.DEPTH_MUL", "a number >= 0", multiplier)
    return round(num_blocks * multiplier)


def elan_depth(cfg: CfgNode) -> dict[str, int]:
    """`num_convs` and `num_branches` of the ELAN blocks of backbone and neck, from `MODEL.ELAN`.

    Raises:
        ConfigError: one is less than 1.
    """
    convs, branches = cfg.MODEL.ELAN.CONVS, cfg.MODEL.ELAN.BRANCHES
    expect(convs >= 1, "MODEL.ELAN.CONVS", "at least 1", convs)
    expect(branches >= 1, "MODEL.ELAN.BRANCHES", "at least 1", branches)
    return {"num_convs": max(scaled_depth(cfg, convs), 1), "num_branches": branches}
