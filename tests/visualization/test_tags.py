"""Where name tags go."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.visualization.tags import place_tags, render_text


def place(box: list[float], size: tuple[int, int] = (10, 20)) -> tuple[int, int, int, int]:
    return place_tags(np.array([box], float), [size], (100, 200))[0]


def test_preferred_places():
    assert place([50, 50, 90, 80]) == (50, 40, 70, 50), "on top of the box"
    assert place([50, 4, 90, 80]) == (50, 4, 70, 14), "inside, where there is no room above"
    assert place([190, 50, 220, 80]) == (180, 40, 200, 50), "moved to the left at the right border"
    assert place([-30, 50, 20, 80]) == (0, 40, 20, 50), "moved to the right at the left border"
    assert place([50, -40, 90, 130]) == (50, 0, 70, 10), "a box higher than the image"


def test_a_taken_place_is_avoided():
    boxes = np.array([[50, 50, 90, 80], [52, 50, 95, 85]], float)
    assert place_tags(boxes, [(10, 20)] * 2, (100, 200)) == [(50, 40, 70, 50), (52, 50, 72, 60)]


def test_no_boxes_no_tags():
    assert place_tags(np.zeros((0, 4)), [], (100, 200)) == []


@given(
    st.lists(
        st.tuples(*[st.floats(-300, 300)] * 4, st.integers(1, 100), st.integers(1, 200)),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_tag_lies_inside_the_image(items):
    boxes = np.array([item[:4] for item in items], float).reshape(-1, 4)
    sizes = [item[4:] for item in items]
    for tag, (height, width) in zip(place_tags(boxes, sizes, (100, 200)), sizes, strict=True):
        left, top, right, bottom = tag
        assert 0 <= left and right <= 200 and 0 <= top and bottom <= 100
        assert (bottom - top, right - left) == (height, width)


def test_text_is_drawn_and_shortened_to_fit():
    text = render_text("wearing a mask", 12, 500)
    assert text.dtype == np.float32 and 0.9 < text.max() <= 1 and text.min() == 0
    short = render_text("wearing a mask", 12, 50)
    assert short.shape == (text.shape[0], short.shape[1]) and short.shape[1] <= 50
    assert short.max() > 0.9
    assert render_text("wearing a mask", 12, 3).shape[1] <= 3
    assert render_text("wearing a mask", 24, 500).shape[0] > 1.5 * text.shape[0]
    assert render_text("größe 名", 12, 500).max() > 0.9
