"""Policies draw from the sample's generator; foreign ones from global ones that are put back."""

from __future__ import annotations

import random

import numpy as np
import torch
from fvcore.transforms.transform import HFlipTransform, NoOpTransform

from yolov7.d2 import Augmentation
from yolov7.data.augmentation import (
    HorizontalFlip,
    Policy,
    ResizeToFit,
    SampleInput,
    augment,
    seeded_global_generators,
)


class ForeignNoise(Augmentation):
    """Remembers what the three global generators gave."""

    def __init__(self):
        self.drawn = []

    def get_transform(self, image):
        self.drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
        return HFlipTransform(image.shape[1])


class AsksForEverything(Policy):
    def get_transform(self, image, boxes, rng, size):
        self.seen = (image.shape, boxes.tolist(), rng, size)
        return NoOpTransform()


def global_states():
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def same(first, second):
    return (
        first[0] == second[0]
        and np.array_equal(first[1][1], second[1][1])
        and first[1][2] == second[1][2]
        and torch.equal(first[2], second[2])
    )


def sample_input(seed=0):
    return SampleInput(
        np.zeros((4, 6, 3), np.uint8),
        rng=np.random.default_rng(seed),
        size=(8, 8),
        boxes=np.array([[0.0, 0.0, 2.0, 1.0]]),
    )


def test_a_policy_gets_what_it_names():
    policy, given = AsksForEverything(), sample_input()
    augment(given, [policy])
    assert policy.seen == ((4, 6, 3), [[0, 0, 2, 1]], given.rng, (8, 8))


def test_a_foreign_augmentation_depends_on_the_sample_alone_and_leaves_the_global_state():
    foreign = ForeignNoise()
    before = global_states()
    augment(sample_input(3), [foreign])
    assert same(before, global_states())
    random.random()
    torch.rand(5)
    np.random.rand(5)
    augment(sample_input(3), [foreign])
    augment(sample_input(4), [foreign])
    assert foreign.drawn[0] == foreign.drawn[1]
    assert foreign.drawn[0] != foreign.drawn[2]


def test_global_state_comes_back_after_an_error():
    before = global_states()
    try:
        with seeded_global_generators(np.random.default_rng(0)):
            random.random()
            raise KeyError
    except KeyError:
        pass
    assert same(before, global_states())


def test_transforms_are_applied_in_order_and_returned_for_the_annotations():
    given = sample_input()
    transforms = augment(given, [ResizeToFit(), HorizontalFlip(8)])
    assert given.image.shape == (5, 8, 3)
    expected = [[8 - 2 * 8 / 6, 0, 8, 5 / 4]]
    np.testing.assert_allclose(given.boxes, expected)
    np.testing.assert_allclose(transforms.apply_box(np.array([[0.0, 0.0, 2.0, 1.0]])), expected)
