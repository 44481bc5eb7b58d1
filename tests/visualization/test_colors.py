"""Colours of classes."""

from __future__ import annotations

import pytest

from yolov7.visualization.colors import class_color, text_color


def test_colours_are_stable_distinct_and_repeat():
    assert class_color(0) == (230, 159, 0)
    assert class_color(4) == (0, 114, 178)
    assert len({class_color(index) for index in range(32)}) == 32
    assert class_color(32) == class_color(0)
    with pytest.raises(ValueError, match="-1"):
        class_color(-1)


@pytest.mark.parametrize(
    ("background", "text"),
    [((255, 255, 255), 0), ((240, 228, 66), 0), ((0, 0, 0), 255), ((0, 0, 200), 255)],
)
def test_text_is_black_on_bright_and_white_on_dark(background, text):
    assert text_color(background) == (text,) * 3


def test_text_contrast_is_at_least_four_and_a_half_on_every_class_colour():
    def luminance(color):
        parts = [value / 255 for value in color]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for index in range(32):
        tones = sorted((luminance(class_color(index)), luminance(text_color(class_color(index)))))
        assert (tones[1] + 0.05) / (tones[0] + 0.05) >= 4.5
