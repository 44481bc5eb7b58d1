"""Clipping of polygons."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from yolov7.data.augmentation import clip_polygon


def area(polygon):
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def winding_inside(polygon, points):
    """Even-odd rule: is each point inside?"""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(start, end, strict=True):
        straddles = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0)
        inside ^= straddles & (points[:, 0] < cut)
    return inside


def test_by_hand():
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    assert clip_polygon(square, (0, 0, 4, 4)) is square
    corner = clip_polygon(square, (3, 3, 9, 9))
    assert sorted(map(tuple, corner)) == [(3, 3), (3, 4), (4, 3), (4, 4)]
    assert clip_polygon(square, (5, 5, 9, 9)).shape == (0, 2)
    triangle = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    assert area(clip_polygon(triangle, (0, 0, 4, 4))) == 16
    assert area(clip_polygon(triangle, (0, 0, 6, 6))) == 32 - 2 * 2


@given(
    st.lists(st.tuples(st.integers(-20, 40), st.integers(-20, 40)), min_size=3, max_size=9),
    st.integers(0, 1000),
)
def test_inside_the_box_nothing_changes_and_outside_nothing_is_left(corners, seed):
    polygon = np.array(corners, dtype=np.float64)
    kept = polygon.copy()
    box = (3.3, 5.1, 20.7, 17.9)
    clipped = clip_polygon(polygon, box)
    assert np.array_equal(polygon, kept)
    points = np.random.default_rng(seed).uniform(-20, 40, (200, 2))
    in_box = ((points > box[:2]) & (points < box[2:])).all(axis=1)
    expected = winding_inside(polygon, points) & in_box
    assert np.array_equal(winding_inside(clipped, points), expected)
    if len(clipped):
        assert (clipped >= np.array(box[:2]) - 1e-9).all()
        assert (clipped <= np.array(box[2:]) + 1e-9).all()
