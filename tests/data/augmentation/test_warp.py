"""The warp behind affine, Mosaic and MixUp: pixels, boxes and masks in one frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.data.augmentation import AffineParameters, WarpTransform, matrix_about_center
from yolov7.data.augmentation.warp import paint, scaling, translation

ANGLES = st.floats(-180, 180)
maps = st.builds(
    AffineParameters,
    angle=ANGLES,
    scale=st.floats(0.2, 3),
    shear_x=st.floats(-30, 30),
    shear_y=st.floats(-30, 30),
    translate_x=st.floats(-0.5, 0.5),
    translate_y=st.floats(-0.5, 0.5),
    perspective_x=st.sampled_from([0.0, 0.002, -0.001]),
    perspective_y=st.sampled_from([0.0, 0.001]),
)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def warp(matrix, source_size, size, **options):
    return WarpTransform(matrix=matrix, source_size=source_size, size=size, **options)


def test_the_identity_and_whole_shifts_copy_pixels():
    image = picture(20, 30)
    assert np.array_equal(warp(np.eye(3), (20, 30), (20, 30)).apply_image(image), image)
    moved = warp(translation(3, -2), (20, 30), (25, 40), fill=9).apply_image(image)
    assert np.array_equal(moved[:18, 3:33], image[2:])
    assert (moved[18:] == 9).all() and (moved[:, 33:] == 9).all() and (moved[:, :2] == 9).all()


def test_enlarging_agrees_with_opencv_s_resize():
    image = cv2.GaussianBlur(picture(20, 30), (0, 0), 2)
    enlarged = warp(scaling(3, 2), (20, 30), (40, 90)).apply_image(image)
    expected = cv2.resize(image, (90, 40), interpolation=cv2.INTER_LINEAR)
    assert np.abs(enlarged.astype(int) - expected)[2:-2, 2:-2].max() <= 1


def test_pixels_boxes_and_masks_agree_at_the_edge_of_an_object():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 15:35] = 250
    for scale in (0.5, 1.0, 2.5):
        transform = warp(
            translation(4.5, 2.5) @ scaling(scale, scale), (40, 60), (110, 160), fill=0
        )
        (x0, y0, x1, y1) = transform.apply_box(np.array([[15.0, 10.0, 35.0, 20.0]]))[0]
        for mask in (
            transform.apply_image(image)[..., 0] > 125,
            transform.apply_segmentation(image[..., 0] > 125),
        ):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(found, [x0, y0, x1, y1], atol=0.51)


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    shrunk = warp(scaling(0.26, 0.26), (64, 64), (16, 16)).apply_image(stripes)
    assert np.abs(shrunk[1:-1, 1:-1].astype(int) - 100).max() <= 3


@settings(max_examples=60)
@given(maps)
def test_points_come_back_through_the_inverse(parameters):
    matrix = matrix_about_center(parameters, source_size=(40, 60), size=(50, 50))
    transform = warp(matrix, (40, 60), (50, 50))
    points = np.random.default_rng(0).uniform(0, 40, (6, 2))
    back = transform.inverse().apply_coords(transform.apply_coords(points))
    np.testing.assert_allclose(back, points, atol=1e-6)
    assert transform.inverse().size == (40, 60)


@settings(max_examples=40)
@given(maps)
def test_a_mask_stays_inside_the_warped_box(parameters):
    matrix = matrix_about_center(parameters, source_size=(40, 60), size=(64, 64))
    transform = warp(matrix, (40, 60), (64, 64))
    bitmap = np.zeros((40, 60), bool)
    bitmap[12:25, 20:44] = True
    x0, y0, x1, y1 = transform.apply_box(np.array([[20.0, 12.0, 44.0, 25.0]]))[0]
    rows, columns = np.nonzero(transform.apply_segmentation(bitmap))
    if len(rows):
        assert x0 - 1 <= columns.min() and columns.max() + 1 <= x1 + 1
        assert y0 - 1 <= rows.min() and rows.max() + 1 <= y1 + 1
    visible = max(0, min(x1, 64) - max(x0, 0)) * max(0, min(y1, 64) - max(y0, 0))
    assert len(rows) <= visible + 4 * 64


def test_pictures_come_back_through_the_inverse_up_to_interpolation():
    image = cv2.GaussianBlur(picture(60, 60), (0, 0), 4)
    parameters = AffineParameters(angle=25, scale=0.8, perspective_x=0.001)
    transform = warp(
        matrix_about_center(parameters, source_size=(60, 60), size=(120, 120)), (60, 60), (120, 120)
    )
    back = transform.inverse().apply_image(transform.apply_image(image))
    assert np.abs(back.astype(int) - image)[3:-3, 3:-3].max() <= 8


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
def test_segmentations_of_any_whole_type(dtype):
    labels = np.array([[0, 1], [1, 0]], dtype=dtype)
    enlarged = warp(scaling(2, 2), (2, 2), (4, 6)).apply_segmentation(labels)
    assert enlarged.dtype == dtype
    expected = np.zeros((4, 6), dtype)
    expected[:, :4] = np.kron(labels, np.ones((2, 2))).astype(dtype)
    assert np.array_equal(enlarged, expected)


def test_only_the_crop_is_drawn():
    image = picture(20, 30)
    transform = warp(np.eye(3), (20, 30), (20, 30), fill=1, crop=(10.0, 5.0, 30.0, 12.0))
    drawn = transform.apply_image(image)
    assert np.array_equal(drawn[5:12, 10:], image[5:12, 10:])
    assert (drawn[12:] == 1).all() and (drawn[:4] == 1).all() and (drawn[:, :9] == 1).all()
    assert transform.apply_segmentation(np.ones((20, 30), bool)).sum() == 20 * 7


@pytest.mark.parametrize(
    ("matrix", "crop", "visible"),
    [
        (np.eye(3), None, True),
        (np.eye(3), (0, 0, 0, 20), False),
        (translation(100, 0), None, False),
        (translation(0, -20.5), None, False),
        (translation(19.5, 0), None, True),
    ],
)
def test_what_is_not_visible_changes_nothing(matrix, crop, visible):
    transform = warp(matrix, (20, 20), (20, 20), fill=0, crop=crop)
    assert transform.is_visible() is visible
    assert bool(transform.apply_image(np.full((20, 20, 3), 5, np.uint8)).any()) is visible
    assert bool(transform.apply_segmentation(np.ones((20, 20), bool)).any()) is visible


def test_lengths_of_edges():
    transform = warp(translation(3, 4) @ scaling(2, 0.5), (20, 20), (20, 20))
    assert transform.edge_lengths() == (2.0, 0.5)


def test_pictures_of_one_pixel_and_strips():
    canvas = np.zeros((8, 8, 3), np.uint8)
    paint(canvas, np.full((1, 1, 3), 50, np.uint8), translation(2, 2) @ scaling(3, 3))
    assert (canvas[2:5, 2:5] == 50).all()
    canvas[:] = 0
    paint(canvas, np.full((400, 1, 3), 50, np.uint8), scaling(4, 0.02))
    assert canvas[2, 2, 0] == 50
