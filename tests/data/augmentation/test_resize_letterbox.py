"""Fitting a picture into a size, and putting it on a canvas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolov7.data.augmentation import (
    CanvasTransform,
    Letterbox,
    PadToSize,
    ResizeToFit,
    ResizeTransform,
    SampleInput,
    augment,
    fitted_size,
)

sides = st.integers(1, 60)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "wanted", "expected"),
    [
        ((480, 640), (640, 640), (480, 640)),
        ((375, 500), (640, 640), (480, 640)),
        ((427, 640), (160, 160), (106, 160)),  # 106.75 is cut, not rounded
        ((100, 50), (640, 320), (640, 320)),  # enlarged, and not square
        ((3000, 2), (100, 100), (100, 1)),  # never less than one pixel
    ],
)
def test_fitted_size(size, wanted, expected):
    assert fitted_size(*size, wanted) == expected


def test_resizing_is_opencv_bilinear_and_points_follow_the_real_ratio():
    image = picture(427, 640)
    transform = ResizeToFit().get_transform(image, (160, 160))
    expected = cv2.resize(image, (160, 106), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(transform.apply_image(image), expected)
    np.testing.assert_allclose(transform.apply_coords(np.array([[640.0, 427.0]])), [[160, 106]])


def test_a_segmentation_takes_the_pixel_at_the_centre():
    labels = np.arange(9).reshape(3, 3)
    transform = ResizeTransform(height=3, width=3, new_height=1, new_width=1)
    assert transform.apply_segmentation(labels).tolist() == [[4]]
    assert transform.apply_segmentation(labels).dtype == labels.dtype
    bitmap = np.eye(3, dtype=bool)
    assert transform.apply_segmentation(bitmap).tolist() == [[True]]


@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_resize_and_its_inverse(height, width, new_height, new_width, seed):
    transform = ResizeTransform(
        height=height, width=width, new_height=new_height, new_width=new_width
    )
    points = np.random.default_rng(seed).uniform(-10, 70, (5, 2))
    back = transform.inverse().apply_coords(transform.apply_coords(points))
    np.testing.assert_allclose(back, points, atol=1e-9)
    image = picture(height, width)
    assert transform.apply_image(image).shape == (new_height, new_width, 3)
    assert transform.inverse().apply_image(transform.apply_image(image)).shape == image.shape
    assert np.array_equal(
        ResizeTransform(
            height=height, width=width, new_height=height, new_width=width
        ).apply_segmentation(image[..., 0]),
        image[..., 0],
    )


def test_letterbox_by_hand():
    image = np.full((2, 4, 3), 7, np.uint8)
    top_left = Letterbox().get_transform(image, (5, 4)).apply_image(image)
    assert (top_left[:2] == 7).all() and (top_left[2:] == 114).all()
    centered = Letterbox(anchor=0.5, fill=9.0).get_transform(image, (5, 4))
    placed = centered.apply_image(image)
    assert (placed[1:3] == 7).all()  # one row above, the odd one below
    assert (placed[[0, 3, 4]] == 9).all()
    assert centered.apply_box(np.array([[0.0, 0.0, 4.0, 2.0]])).tolist() == [[0, 1, 4, 3]]
    assert centered.apply_segmentation(np.ones((2, 4), bool)).sum() == 8


@given(sides, sides, sides, sides, st.sampled_from([0.0, 0.5, 1.0]))
def test_letterbox_has_the_wanted_size_and_an_exact_inverse(height, width, rows, columns, anchor):
    image = picture(height, width)
    transform = Letterbox(anchor=anchor).get_transform(image, (rows, columns))
    placed = transform.apply_image(image)
    assert placed.shape == (rows, columns, 3)
    corners = np.array([[0.0, 0.0], [width, height], [0.3 * width, 0.7 * height]])
    inside = transform.apply_coords(corners)
    assert (inside >= -1e-9).all() and (inside <= np.array([columns, rows]) + 1e-9).all()
    np.testing.assert_allclose(transform.inverse().apply_coords(inside), corners, atol=1e-9)
    resize, place = transform.transforms
    assert np.array_equal(place.inverse().apply_image(placed), resize.apply_image(image))


@given(sides, sides, st.integers(-80, 80), st.integers(-80, 80), sides, sides)
def test_canvas_holds_what_overlaps(height, width, top, left, rows, columns):
    transform = CanvasTransform(
        height=height, width=width, canvas_height=rows, canvas_width=columns, top=top, left=left
    )
    placed = transform.apply_segmentation(np.ones((height, width), bool))
    expected = np.zeros((rows, columns), bool)
    for row in range(height):
        for column in range(width):
            if 0 <= row + top < rows and 0 <= column + left < columns:
                expected[row + top, column + left] = True
    assert np.array_equal(placed, expected)


def test_padding_is_right_and_bottom_and_does_not_touch_a_picture_of_the_size():
    given_input = SampleInput(picture(3, 5), rng=np.random.default_rng(0), size=(4, 8))
    original = given_input.image.copy()
    augment(given_input, [PadToSize(fill=1.0)])
    assert np.array_equal(given_input.image[:3, :5], original)
    assert given_input.image.shape == (4, 8, 3)
    assert given_input.image[3:].max() == given_input.image[:, 5:].max() == 1
    full = picture(4, 8)
    assert PadToSize().get_transform(full, (4, 8)).apply_image(full) is full
