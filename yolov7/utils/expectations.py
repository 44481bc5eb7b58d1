"""What values in a config must be."""

from __future__ import annotations

from yolov7.utils.errors import ConfigError


def expect(holds: bool, key: str, expected: str, got: object) -> None:
    """Make sure that something holds for a value of a config.

    Args:
        holds: whether it does.
        key: the key of the value.
        expected: what it must be.
        got: what it is.

    Raises:
        ConfigError: it does not hold; the message has key, expected and got.
    """
    if not holds:
        raise ConfigError(f"{key}: expected {expected}, got {got}")


def is_size(value: object) -> bool:
    """Whether a value is a [width, height] of positive numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return all(isinstance(side, int | float) and side > 0 for side in value)


def expect_widths(channels: object, key: str) -> list[int]:
    """A list of numbers of channels, unchanged.

    Raises:
        ConfigError: it is no list of whole numbers of at least 1.
    """
    is_list = isinstance(channels, list | tuple)
    fits = is_list and all(isinstance(width, int) and width >= 1 for width in channels)
    expect(fits, key, "a list of whole numbers of at least 1", channels)
    return list(channels)
