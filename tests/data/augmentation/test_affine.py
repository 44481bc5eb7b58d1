"""Drawing of affine and perspective maps."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from yolov7.data.augmentation import (
    AffineDistribution,
    AffineParameters,
    Letterbox,
    RandomAffine,
    SampleInput,
    augment,
    matrix_about_center,
    matrix_about_origin,
    matrix_between_centers,
)
from yolov7.data.augmentation.warp import box_corners, map_points

YOLOX = AffineDistribution(degrees=10, translate=0.1, scale=(0.1, 2.0), shear=2)


def test_the_map_of_a_mosaic_is_yolox_s():
    p = AffineParameters(
        angle=10, scale=1.5, shear_x=2, shear_y=-1, translate_x=0.05, translate_y=-0.1
    )
    cos, sin = 1.5 * math.cos(math.radians(10)), 1.5 * math.sin(math.radians(10))
    shear_x, shear_y = math.tan(math.radians(2)), math.tan(math.radians(-1))
    expected = [
        [cos + shear_y * -sin, sin + shear_y * cos, 0.05 * 320],
        [-sin + shear_x * cos, cos + shear_x * sin, -0.1 * 640],
        [0, 0, 1],
    ]
    matrix = matrix_about_origin(p, source_size=(1280, 640), size=(640, 320))
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_there_is_no_centring_in_a_mosaic():
    matrix = matrix_about_origin(AffineParameters(), source_size=(1280, 1280), size=(640, 640))
    assert np.array_equal(matrix, np.eye(3))


def test_draws_cover_their_ranges_and_always_take_as_much_of_the_generator():
    rng = np.random.default_rng(0)
    drawn = [YOLOX.draw(rng) for _ in range(2000)]
    for name, low, high in [
        ("angle", -10, 10), ("scale", 0.1, 2.0), ("shear_x", -2, 2), ("shear_y", -2, 2),
        ("translate_x", -0.1, 0.1), ("translate_y", -0.1, 0.1),
    ]:  # fmt: skip
        values = np.array([getattr(p, name) for p in drawn])
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high >= values.max() > high - 0.02 * (high - low)
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    assert {p.perspective_x for p in drawn} == {0.0}
    first, second = np.random.default_rng(1), np.random.default_rng(1)
    AffineDistribution().draw(first)
    YOLOX.draw(second)
    assert first.random() == second.random()


def test_without_parameters_a_single_picture_is_letterboxed_in_the_middle():
    corners = box_corners((0, 0, 50, 30))
    matrix = matrix_about_center(AffineParameters(), source_size=(30, 50), size=(100, 100))
    letterbox = Letterbox(anchor=0.5).get_transform(np.zeros((30, 50, 3), np.uint8), (100, 100))
    np.testing.assert_allclose(map_points(matrix, corners), letterbox.apply_coords(corners))


@given(st.floats(-180, 180), st.floats(0.1, 3), st.floats(-20, 20), st.floats(-0.3, 0.3))
def test_a_single_picture_turns_about_its_middle(angle, scale, shear, shift):
    parameters = AffineParameters(
        angle=angle, scale=scale, shear_x=shear, shear_y=-shear, translate_x=shift,
        perspective_x=1e-4, perspective_y=-1e-3,
    )  # fmt: skip
    matrix = matrix_about_center(parameters, source_size=(37, 61), size=(64, 96))
    middle = map_points(matrix, np.array([[61 / 2, 37 / 2]]))
    np.testing.assert_allclose(middle, [[(0.5 + shift) * 96, 32]])


def test_the_map_between_centres_by_hand():
    """A canvas of 200 by 100, doubled about its middle, seen in 50 by 40 and moved by a tenth."""
    parameters = AffineParameters(scale=2.0, translate_x=0.1, translate_y=-0.1)
    matrix = matrix_between_centers(parameters, source_size=(100, 200), size=(40, 50))
    points = map_points(matrix, np.array([[100.0, 50.0], [101.0, 50.0], [100.0, 40.0]]))
    np.testing.assert_allclose(points, [[30, 16], [32, 16], [30, -4]])
    # At scale 1 the middle of the canvas is seen, of its own size.
    matrix = matrix_between_centers(AffineParameters(), source_size=(100, 200), size=(50, 100))
    np.testing.assert_allclose(map_points(matrix, np.array([[50.0, 25.0]])), [[0, 0]])
    np.testing.assert_allclose(map_points(matrix, np.array([[150.0, 75.0]])), [[100, 50]])


@given(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.integers(1, 2000), st.integers(1, 2000))
def test_the_horizon_stays_outside_of_the_picture(tilt_x, tilt_y, height, width):
    parameters = AffineParameters(perspective_x=tilt_x, perspective_y=tilt_y)
    corners = box_corners((0, 0, width, height))
    depth = corners @ parameters.perspective(corners)[2, :2] + 1
    assert depth.min() >= 0.25 - 1e-9
    if (1 + corners @ [tilt_x, tilt_y]).min() > 0.25:
        assert parameters.perspective(corners)[2].tolist() == [tilt_x, tilt_y, 1]


def test_random_affine_makes_the_wanted_size_from_the_sample_s_dice():
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    policy = RandomAffine(distribution=YOLOX, fill=3.0)
    pictures = []
    for seed in (5, 5, 6):
        sample = SampleInput(image, rng=np.random.default_rng(seed), size=(64, 32))
        augment(sample, [policy])
        pictures.append(sample.image)
    assert pictures[0].shape == (64, 32, 3)
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
