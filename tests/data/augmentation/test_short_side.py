"""Resizing by the short side, and DETR's choice between a picture and a part of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yolov7.data.augmentation import (
    ResizeOrCrop,
    ResizeShortSide,
    SampleInput,
    SmoothResizeTransform,
    augment,
    short_side_size,
)
from yolov7.data.mappers import Annotations, TrainMapper


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1066)),  # 1066.67 is cut
        ((427, 640), (800, 1199)),
        ((375, 500), (800, 1066)),
        ((359, 640), (748, 1333)),  # the long side is too long: 747.7 is rounded
        ((612, 612), (800, 800)),
        ((640, 480), (1066, 800)),
        ((800, 1000), (800, 1000)),
        ((1, 3000), (1, 3000)),  # never less than one pixel
    ],
)
def test_the_authors_sizes(size, expected) -> None:
    assert short_side_size(*size, short_side=800, longest=1333) == expected
    assert short_side_size(*size[::-1], short_side=800, longest=1333) == expected[::-1]


def test_without_a_bound_and_rounding_to_even() -> None:
    assert short_side_size(359, 640, short_side=800) == (800, 1426)
    # 25 · 2 / 20 = 2.5 and 15 · 2 / 20 = 1.5: half goes to the even neighbour.
    assert short_side_size(2, 20, short_side=9, longest=25) == (2, 20)
    assert short_side_size(2, 20, short_side=9, longest=15) == (2, 20)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 900))
def test_the_short_side_is_as_asked(height, width, short_side) -> None:
    new = short_side_size(height, width, short_side=short_side)
    assert min(new) == short_side
    assert max(new) == int(short_side * max(height, width) / min(height, width))
    assert (new[0] <= new[1]) == (height <= width) or new[0] == new[1]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(40, 60), (31, 20), (90, 130), (20, 150), (48, 64)])
def test_pixels_are_those_of_pillow(size) -> None:
    image = picture(48, 64)
    transform = SmoothResizeTransform(height=48, width=64, new_height=size[0], new_width=size[1])
    found = transform.apply_image(image)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_one_of_the_lengths() -> None:
    policy, rng = ResizeShortSide(short_sides=(30, 40, 50), longest=70), np.random.default_rng(0)
    sizes = [policy.get_transform(picture(48, 64), rng).new_height for _ in range(300)]
    assert {size: sizes.count(size) // 80 for size in set(sizes)} == {30: 1, 40: 1, 50: 1}


def make_policy(**changes) -> ResizeOrCrop:
    parts = {
        "resize": ResizeShortSide(short_sides=range(480, 801, 32), longest=1333),
        "before_crop": ResizeShortSide(short_sides=(400, 500, 600)),
    }
    return ResizeOrCrop(**(parts | changes))


def test_resize_or_crop_draws_what_it_says() -> None:
    policy, rng = make_policy(), np.random.default_rng(1)
    image = picture(300, 450)
    whole, parts = [], []
    for _ in range(400):
        steps = policy.get_transform(image, rng).transforms
        (parts if len(steps) == 3 else whole).append(steps)
    assert 150 < len(parts) < 250
    assert {min(step.new_height, step.new_width) for (step,) in whole} == set(range(480, 801, 32))
    assert {first.new_height for first, _, _ in parts} == {400, 500, 600}
    for first, cut, last in parts:
        assert (first.new_height, first.new_width) == (cut.height, cut.width)
        for side, part, start in (
            (cut.height, cut.canvas_height, -cut.top),
            (cut.width, cut.canvas_width, -cut.left),
        ):
            assert 384 <= part <= min(side, 600)
            assert 0 <= start <= side - part
        assert (last.height, last.width) == (cut.canvas_height, cut.canvas_width)
        assert min(last.new_height, last.new_width) in range(480, 801, 32)
    # All of both ranges occurs, nearly.
    assert min(cut.canvas_width for _, cut, _ in parts) < 400
    assert max(cut.canvas_width for _, cut, _ in parts) > 590
    assert any(cut.left == 0 or cut.canvas_width - cut.left == cut.width for _, cut, _ in parts)


def test_the_same_dice_give_the_same_picture() -> None:
    image, results = picture(100, 150), []
    for seed in (3, 3, 4):
        policy = make_policy(
            resize=ResizeShortSide(short_sides=range(48, 81), longest=133),
            before_crop=ResizeShortSide(short_sides=(40, 50, 60)),
            crop=(38, 60),
            probability=1.0,
        )
        sample = SampleInput(image, rng=np.random.default_rng(seed), size=(640, 640))
        augment(sample, [policy])
        results.append(sample.image)
    assert np.array_equal(results[0], results[1])
    assert results[0].shape != results[2].shape


def test_a_picture_smaller_than_the_part_is_kept() -> None:
    policy = make_policy(before_crop=ResizeShortSide(short_sides=(20,)), probability=1.0)
    _, cut, _ = policy.get_transform(picture(300, 450), np.random.default_rng(0)).transforms
    assert (cut.canvas_height, cut.canvas_width) == (20, 30)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_boxes_polygons_and_bitmaps_stay_on_their_object(seed) -> None:
    """A white rectangle: what is left of it is where its box and its masks say."""
    image = np.zeros((60, 90, 3), dtype=np.uint8)
    image[15:45, 25:70] = 255
    bitmap = image[..., 0] > 0
    polygon = np.array([[25.0, 15.0], [70.0, 15.0], [70.0, 45.0], [25.0, 45.0]])
    policy = make_policy(
        resize=ResizeShortSide(short_sides=range(60, 121), longest=200),
        before_crop=ResizeShortSide(short_sides=(50, 70, 90)),
        crop=(40, 60),
        probability=0.8,
    )
    mapper = TrainMapper(augmentations=[policy], input_size=(640, 640), with_masks=True)
    sample = mapper.finish(
        image,
        Annotations(np.array([[25.0, 15, 70, 45]] * 2), np.array([0, 1]), [[polygon], bitmap]),
        mapper.augmentations,
        rng=np.random.default_rng(seed),
        size=(640, 640),
        description={},
    )
    instances, seen = sample["instances"], sample["image"][0].numpy() > 127
    rows, columns = np.nonzero(seen)
    assert len(rows)
    extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert len(instances) == 2
    for box, mask in zip(instances.gt_boxes.tensor, instances.gt_masks.tensor, strict=True):
        # Two resizes, each of which moves an edge by less than a pixel of its result.
        assert np.abs(box.numpy() - extent).max() <= 2.5
        assert (mask.numpy() != seen).mean() < 0.07
