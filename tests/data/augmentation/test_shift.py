from __future__ import annotations

import numpy as np
import pytest

from yolov7.config import get_config
from yolov7.data.augmentation import RandomShift, ResizeToSize
from yolov7.data.mappers.single_image import after_geometry
from yolov7.utils.errors import ConfigError


class Dice:
    """A generator that gives what it was told."""

    def __init__(self, share: float, left: int, top: int) -> None:
        self.share, self.shift = share, np.array([left, top])

    def random(self) -> float:
        return self.share

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        assert (low, high, size) == (-4, 4, 2)
        return self.shift


def test_picture_and_boxes_by_hand() -> None:
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 4, 1)
    transform = RandomShift(pixels=4).get_transform(image, Dice(0.4, left=1, top=-1))
    moved = transform.apply_image(image)[..., 0]
    assert moved.tolist() == [[0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0]]
    assert transform.apply_box(np.array([[0.0, 1, 2, 3]])).tolist() == [[1.0, 0.0, 3.0, 2.0]]


def test_half_of_the_pictures_stay() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    stays = RandomShift(pixels=4).get_transform(image, Dice(0.5, 1, 1))
    assert np.array_equal(stays.apply_image(image), image)
    rng = np.random.default_rng(0)
    policy = RandomShift(pixels=3)
    moved = [hasattr(policy.get_transform(image, rng), "left") for _ in range(1000)]
    assert 450 < sum(moved) < 550


def test_shifts_reach_from_minus_the_pixels_to_one_less_than_them() -> None:
    rng, policy = np.random.default_rng(0), RandomShift(pixels=3, probability=1.0)
    image = np.zeros((9, 9, 3), np.uint8)
    shifts = [policy.get_transform(image, rng) for _ in range(400)]
    assert {shift.left for shift in shifts} == {shift.top for shift in shifts} == set(range(-3, 3))


def test_a_shift_comes_last_where_the_config_asks_for_it() -> None:
    cfg = get_config()
    assert not any(isinstance(policy, RandomShift) for policy in after_geometry(cfg))
    cfg.INPUT.SHIFT.ENABLED, cfg.INPUT.SHIFT.SHIFT_PIXELS = True, 7
    last = after_geometry(cfg)[-1]
    assert (last.pixels, last.probability) == (7, 0.5)
    cfg.INPUT.SHIFT.SHIFT_PIXELS = 0
    with pytest.raises(ConfigError, match=r"SHIFT_PIXELS: expected at least 1, got 0"):
        after_geometry(cfg)


def test_a_stretched_picture_has_exactly_the_size() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    transform = ResizeToSize().get_transform(image, (30, 30))
    assert transform.apply_image(image).shape == (30, 30, 3)
    assert transform.apply_box(np.array([[2.0, 2, 4, 4]])).tolist() == [[3.0, 6.0, 6.0, 12.0]]
