"""Policies, fixed transforms, and lists of both."""

from __future__ import annotations

import numpy as np
import pytest
from fvcore.transforms.transform import HFlipTransform, NoOpTransform, Transform, TransformList

from yolov7.d2.embedded.augmentation import AugInput, Augmentation, AugmentationList


class Flip(Augmentation):
    def __init__(self, axis=1, probability=1.0):
        super().__init__()
        self._init(locals())

    def get_transform(self, img):
        return HFlipTransform(img.shape[1])


class OnlyWithBoxes(Augmentation):
    def get_transform(self, image, boxes):
        return NoOpTransform() if boxes is None else HFlipTransform(image.shape[1])


def sample(**parts) -> AugInput:
    return AugInput(np.arange(6, dtype=np.float32).reshape(2, 3), **parts)


def test_calling_changes_all_parts_and_returns_the_transform():
    parts = sample(boxes=np.array([[0.0, 0, 1, 2]]), sem_seg=np.array([[1, 2, 3]], dtype=np.uint8))
    transform = Flip()(parts)
    assert isinstance(transform, Transform)
    assert parts.image.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert parts.boxes.tolist() == [[2, 0, 3, 2]]
    assert parts.sem_seg.tolist() == [[3, 2, 1]]


def test_parameters_name_the_parts_and_a_single_one_is_the_image():
    assert isinstance(OnlyWithBoxes()(sample()), NoOpTransform)
    assert isinstance(OnlyWithBoxes()(sample(boxes=np.zeros((0, 4)))), HFlipTransform)


def test_parts_that_are_missing_are_named():
    class NeedsDepth(Augmentation):
        def get_transform(self, image, depth):
            return NoOpTransform()

    with pytest.raises(AttributeError, match="NeedsDepth needs 'depth', which AugInput lacks"):
        NeedsDepth()(sample())


def test_mistakes_in_policies():
    class Variable(Augmentation):
        def get_transform(self, image, *others):
            return NoOpTransform()

    class Nothing(Augmentation):
        def get_transform(self, image):
            return None

    with pytest.raises(TypeError, match="variable number"):
        Variable()(sample())
    with pytest.raises(AssertionError, match="must return a Transform"):
        Nothing()(sample())
    with pytest.raises(NotImplementedError):
        Augmentation().get_transform()
    with pytest.raises(AssertionError, match="Not an augmentation"):
        AugmentationList([len])


def test_lists_apply_in_order_and_return_what_they_did():
    parts = sample(boxes=np.array([[0.0, 0, 1, 2]]))
    done = AugmentationList([Flip(), HFlipTransform(3), AugmentationList([OnlyWithBoxes()])])(parts)
    assert isinstance(done, TransformList)
    assert len(done) == 3
    assert parts.image.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert done.apply_coords(np.array([[0.0, 1.0]])).tolist() == [[3, 1]]
    assert len(sample().apply_augmentations([Flip()])) == 1


@pytest.mark.parametrize("image", [[[1]], np.zeros(3), np.zeros((2, 2), dtype=np.int64)])
def test_what_is_no_image(image):
    with pytest.raises(AssertionError):
        AugInput(image)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Flip()) == "Flip()"
    assert repr(AugmentationList([Flip(axis=7)])) == "AugmentationList[Flip(axis=7)]"
