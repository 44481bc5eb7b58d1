"""MixUp in one warp, against its steps done one after the other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolov7.data.augmentation import MixUp, blend, fitted_size

SIZE = (96, 128)


def literal_mixup(first, second, transform_draws, boxes):
    """Letterbox, resize the square, mirror, put on black, cut, mean; and what happens to boxes."""
    factor, mirrored, top, left = transform_draws
    height, width = SIZE
    square = np.full((height, width, 3), 114, np.uint8)
    fitted = fitted_size(*second.shape[:2], SIZE)
    square[: fitted[0], : fitted[1]] = cv2.resize(second, fitted[::-1])
    jittered = (int(height * factor), int(width * factor))
    square = cv2.resize(square, jittered[::-1])
    boxes = boxes * np.tile([fitted[1] / second.shape[1], fitted[0] / second.shape[0]], 2)
    boxes = boxes * np.tile([jittered[1] / width, jittered[0] / height], 2)
    if mirrored:
        square = square[:, ::-1]
        boxes = np.stack(
            [jittered[1] - boxes[:, 2], boxes[:, 1], jittered[1] - boxes[:, 0], boxes[:, 3]], axis=1
        )
    canvas = np.zeros((max(height, jittered[0]), max(width, jittered[1]), 3), np.uint8)
    canvas[: jittered[0], : jittered[1]] = square
    cut = canvas[top : top + height, left : left + width]
    return 0.5 * first + 0.5 * cut, boxes - np.tile([left, top], 2)


def draws_of(mixup, seed):
    """What `get_transforms` draws, in its order."""
    rng = np.random.default_rng(seed)
    factor = rng.uniform(*mixup.scale)
    mirrored = rng.random() < 0.5
    high, wide = int(SIZE[0] * factor), int(SIZE[1] * factor)
    top = int(rng.integers(high - SIZE[0])) if high > SIZE[0] else 0
    left = int(rng.integers(wide - SIZE[1])) if wide > SIZE[1] else 0
    return factor, mirrored, top, left


@pytest.mark.parametrize("image_size", [(48, 64), (60, 40), (200, 150)])
def test_one_warp_equals_the_steps(image_size):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    second = cv2.resize(
        rng.integers(0, 256, (3, 4, 3), dtype=np.uint8),
        image_size[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    boxes = np.array([[3.0, 5.0, 30.0, 25.0], [0.0, 0.0, image_size[1], image_size[0]]])
    mixup = MixUp(scale=(0.5, 1.5))
    mirrored = set()
    for seed in range(12):
        transform, covered = mixup.get_transforms(image_size, SIZE, np.random.default_rng(seed))
        ours = mixup.compose(first, second, transform, covered)
        draws = draws_of(mixup, seed)
        mirrored.add(bool(draws[1]))
        expected, expected_boxes = literal_mixup(first, second, draws, boxes)
        np.testing.assert_allclose(transform.apply_box(boxes), expected_boxes, atol=1e-9)
        difference = np.abs(ours - expected).max(axis=2)
        rim = transform.apply_segmentation(np.ones(image_size, np.uint8))
        rim = cv2.morphologyEx(rim, cv2.MORPH_GRADIENT, np.ones((9, 9))) > 0
        assert difference[~rim].max() <= 5
    assert mirrored == {True, False}


def test_a_small_picture_lies_on_grey_and_that_on_black():
    mixup = MixUp(scale=(0.5, 0.5), fill=100)
    first = np.zeros((*SIZE, 3), np.uint8)
    second = np.full((48, 32, 3), 200, np.uint8)  # fitted: 96x64 of 96x128
    transform, covered = mixup.get_transforms((48, 32), SIZE, np.random.default_rng(0))
    assert covered == (0, 0, 64, 48)
    mixed = mixup.compose(first, second, transform, covered)
    assert (mixed[48:] == 0).all() and (mixed[:, 64:] == 0).all()
    halves = {mixed[10, 5, 0], mixed[10, 60, 0]}
    assert halves == {50, 100}
    assert (first == 0).all()


def test_blending_by_hand():
    first = np.array([[[0, 100, 255]]], np.uint8)
    second = np.array([[[10, 200, 0]]], np.uint8)
    assert blend(first, second, 0.25).tolist() == [[[8, 175, 64]]]  # of 7.5, 175, 63.75
    assert blend(first, second, 1.0).tolist() == first.tolist()
    assert blend(first, second, 0.0).tolist() == second.tolist()
