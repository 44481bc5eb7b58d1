"""What the numbers in a config must be so that a transformer can be built from them."""

from __future__ import annotations

from yolov7.d2 import CfgNode
from yolov7.utils.expectations import expect


def expect_transformer(section: CfgNode, key: str, *, channels: int) -> None:
    """Make sure that layers can be built as a section of the config says.

    Args:
        section: `MODEL.DETR` or `MODEL.ANCHOR_DETR`.
        key: what it is called.
        channels: D, of the map that the transformer gets.

    Raises:
        ConfigError: a number is too small or too large, or the heads do not divide the channels.
    """
    for name in ("NHEADS", "DIM_FEEDFORWARD", "DEC_LAYERS"):
        expect(section[name] >= 1, f"{key}.{name}", "at least 1", section[name])
    expect(section.ENC_LAYERS >= 0, f"{key}.ENC_LAYERS", "at least 0", section.ENC_LAYERS)
    expect(0.0 <= section.DROPOUT < 1.0, f"{key}.DROPOUT", "a share in [0, 1)", section.DROPOUT)
    divides = channels % section.NHEADS == 0
    wanted = f"a divisor of {channels}, the transformer's channels (MODEL.NECK.CHANNELS)"
    expect(divides, f"{key}.NHEADS", wanted, section.NHEADS)
