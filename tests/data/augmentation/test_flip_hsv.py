"""Mirroring, and colour jitter by look-up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fvcore.transforms.transform import HFlipTransform, NoOpTransform
from hypothesis import given
from hypothesis import strategies as st

from yolov7.data.augmentation import (
    RANDOM_FLIPS,
    HorizontalFlip,
    HSVShiftTransform,
    HSVTransform,
    RandomHorizontalFlip,
    RandomHSVGain,
    RandomHSVShift,
    RandomVerticalFlip,
    VerticalFlip,
    hsv_gain_tables,
    hsv_tables,
)
from yolov7.utils.errors import ConfigError


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def literal_hsv_shift(hsv, hue, saturation, value):
    """The definition, in integers wide enough."""
    wide = hsv.astype(np.int64)
    shifted = np.stack(
        [
            (wide[..., 0] + hue) % 180,
            np.clip(wide[..., 1] + saturation, 0, 255),
            np.clip(wide[..., 2] + value, 0, 255),
        ],
        axis=-1,
    )
    return shifted.astype(np.uint8)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([HorizontalFlip, VerticalFlip]))
def test_flipping_twice_is_nothing(height, width, kind):
    flip = kind(width if kind is HorizontalFlip else height)
    image = picture(height, width)
    points = np.random.default_rng(0).uniform(-5, 25, (4, 2))
    kept = points.copy()
    assert np.array_equal(flip.apply_image(flip.apply_image(image)), image)
    np.testing.assert_allclose(flip.apply_coords(flip.apply_coords(points)), points)
    np.testing.assert_allclose(flip.inverse().apply_coords(flip.apply_coords(points)), points)
    assert np.array_equal(points, kept)
    bitmap = image[..., 0] > 100
    twice = flip.apply_segmentation(flip.apply_segmentation(bitmap))
    assert twice.dtype == bool and np.array_equal(twice, bitmap)


def test_flips_by_hand():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert HorizontalFlip(2).apply_image(image).tolist() == [[[3, 4, 5], [0, 1, 2]]]
    box = np.array([[0.0, 1.0, 3.0, 5.0]])
    assert HorizontalFlip(10).apply_box(box).tolist() == [[7, 1, 10, 5]]
    assert VerticalFlip(10).apply_box(box).tolist() == [[0, 5, 3, 9]]
    assert isinstance(HorizontalFlip(2), HFlipTransform)  # detectron2 looks for this class


def test_random_flips_happen_half_of_the_time_in_the_configured_direction():
    rng = np.random.default_rng(0)
    image = picture(3, 5)
    drawn = [RandomHorizontalFlip().get_transform(image, rng) for _ in range(1000)]
    count = sum(isinstance(transform, HorizontalFlip) for transform in drawn)
    assert 450 < count < 550
    assert all(isinstance(t, HorizontalFlip | NoOpTransform) for t in drawn)
    vertical = RandomVerticalFlip(probability=1.0).get_transform(image, rng)
    assert isinstance(vertical, VerticalFlip) and vertical.height == 3
    assert RANDOM_FLIPS == {
        "none": (),
        "horizontal": (RandomHorizontalFlip,),
        "vertical": (RandomVerticalFlip,),
    }


@pytest.mark.parametrize("offsets", [(5, -30, 30), (-5, 30, -30), (0, 0, 1), (-179, 255, -255)])
def test_tables_equal_the_definition_for_all_8_bit_values(offsets):
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    shifted = cv2.LUT(levels, hsv_tables(*offsets))
    assert np.array_equal(shifted, literal_hsv_shift(levels, *offsets))


@pytest.mark.slow
def test_the_look_up_equals_the_definition_for_all_8_bit_triples():
    levels = np.arange(256, dtype=np.uint8)
    for hue in range(256):
        saturation, value = np.meshgrid(levels, levels, indexing="ij")
        hsv = np.stack([np.full_like(saturation, hue), saturation, value], axis=-1)
        shifted = cv2.LUT(hsv, hsv_tables(-4, 21, -17))
        assert np.array_equal(shifted, literal_hsv_shift(hsv, -4, 21, -17))


@pytest.mark.parametrize(
    ("image_format", "there", "back"),
    [
        ("BGR", cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR),
        ("RGB", cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB),
    ],
)
def test_shifting_a_picture(image_format, there, back):
    image = picture(40, 50)
    kept = image.copy()
    transform = HSVShiftTransform(hue=-4, saturation=20, value=11, image_format=image_format)
    expected = cv2.cvtColor(literal_hsv_shift(cv2.cvtColor(image, there), -4, 20, 11), back)
    assert np.array_equal(transform.apply_image(image), expected)
    assert np.array_equal(image, kept)
    points = np.array([[1.0, 2.0]])
    assert transform.apply_coords(points) is points
    assert isinstance(transform.inverse(), NoOpTransform)


def test_offsets_are_whole_bounded_and_each_used_with_its_probability():
    policy = RandomHSVShift(hue=5, saturation=30, value=30, probability=0.5)
    rng = np.random.default_rng(0)
    drawn = [policy.get_transform(rng) for _ in range(4000)]
    shifts = [t for t in drawn if isinstance(t, HSVShiftTransform)]
    hues = np.array([t.hue for t in shifts])
    values = np.array([t.value for t in shifts])
    # 5 itself is never reached: the draw is truncated.
    assert set(hues.tolist()) == set(range(-4, 5))
    assert values.min() == -29 and values.max() == 29
    # Truncation to zero makes 0 twice as likely as others; plus one half unused.
    assert abs((values != 0).sum() / 4000 - 0.5 * 29 / 30) < 0.03
    assert abs((hues != 0).sum() / 4000 - 0.5 * 4 / 5) < 0.03
    assert abs(sum(isinstance(t, NoOpTransform) for t in drawn) / 4000 - 0.6 * 0.517**2) < 0.03


def test_grey_pictures_have_no_hue():
    with pytest.raises(ConfigError, match=r"INPUT\.FORMAT is 'L'"):
        RandomHSVShift(image_format="L")


def test_gain_tables_by_hand():
    tables = hsv_gain_tables(1.01, 1.5, 0.5)[0]
    assert tables[[0, 100, 179], 0].tolist() == [0, 101, 0]  # 180.79 is 0.79 past the circle
    assert tables[[0, 3, 170, 171, 255], 1].tolist() == [0, 4, 255, 255, 255]
    assert tables[[0, 3, 255], 2].tolist() == [0, 1, 127]
    assert np.array_equal(hsv_gain_tables(1, 1, 1)[0, :180], hsv_tables(0, 0, 0)[0, :180])


def test_gains_are_drawn_within_their_limits_and_reach_the_picture():
    """A grey of 100: hue and saturation are 0, the value is scaled."""
    policy = RandomHSVGain(hue=0.015, saturation=0.7, value=0.4, image_format="RGB")
    rng = np.random.default_rng(0)
    grey = np.full((2, 2, 3), 100, np.uint8)
    values = []
    for _ in range(500):
        transform = policy.get_transform(rng)
        assert isinstance(transform, HSVTransform)
        image = transform.apply_image(grey)
        assert (image == image[0, 0, 0]).all()
        values.append(int(image[0, 0, 0]))
    assert 60 <= min(values) < 63 and 137 < max(values) <= 140
    assert abs(np.mean(values) - 99.5) < 3


def test_a_gain_needs_colour_and_relative_limits():
    with pytest.raises(ConfigError, match=r"HSV_GAIN needs .* INPUT\.FORMAT is 'L'"):
        RandomHSVGain(image_format="L")
    with pytest.raises(ConfigError, match=r"HSV_GAIN: .* got 0\.015, 30 and 0\.4"):
        RandomHSVGain(saturation=30)
