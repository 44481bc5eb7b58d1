"""A colour for every class: always the same one, and distinct for colour-blind eyes too."""

from __future__ import annotations

Color = tuple[int, int, int]

# The first seven are Okabe and Ito's (without black); each of the others is the saturated colour
# farthest from all before it in CIELAB, the distance being the smallest of those seen by normal,
# protanopic and deuteranopic eyes (simulated after Machado et al., 2009).
_PALETTE = (
    0xE69F00, 0x56B4E9, 0x009E73, 0xD55E00, 0x0072B2, 0xCC79A7, 0xF0E442, 0x4444FF,
    0x00FF88, 0xDD0044, 0x8888FF, 0x66EEEE, 0x00FFCC, 0xCC9955, 0x88DD99, 0x99DD55,
    0xBB0099, 0x8844DD, 0xEE6677, 0xCC3322, 0xBB2277, 0xFF22CC, 0x7788DD, 0x55DDFF,
    0x337744, 0x0077FF, 0x66CCAA, 0x55CC22, 0xDD3366, 0x44DD77, 0x66AAFF, 0xBB5599,
)  # fmt: skip


def class_color(index: int) -> Color:
    """Give the colour of a class as (red, green, blue), each 0 to 255.

    Args:
        index: the class, in [0, K); the palette repeats after 32 classes.
    """
    if index < 0:
        raise ValueError(f"index must not be negative, got {index}")
    value = _PALETTE[index % len(_PALETTE)]
    return value >> 16, (value >> 8) & 0xFF, value & 0xFF


def text_color(background: Color) -> Color:
    """Choose black or white, whichever is easier to read on `background` (red, green, blue)."""
    red, green, blue = (_linear(part / 255) for part in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Equal contrast ratios (WCAG 2) of black and of white lie at a luminance of 0.179.
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _linear(value: float) -> float:
    """Undo sRGB's gamma."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
