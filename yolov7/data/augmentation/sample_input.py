"""What an augmentation sees: the picture, its boxes, the wanted size and the sample's own dice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from yolov7.d2 import AugInput, Augmentation, AugmentationList, Transform, TransformList


class SampleInput(AugInput):
    """detectron2's `AugInput` with two more things a policy may ask for by name.

    Args:
        image: (H, W, C) uint8.
        rng: the sample's generator; the only source of chance for our policies.
        size: (height, width) the finished picture shall have.
        boxes: (N, 4) xyxy pixels, for policies that look at them.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        rng: np.random.Generator,
        size: tuple[int, int],
        boxes: np.ndarray | None = None,
    ) -> None:
        super().__init__(image, boxes=boxes)
        self.rng = rng
        self.size = size


class Policy(Augmentation):
    """Base of our augmentations: `get_transform` names what it needs of a `SampleInput`.

    Any of `image`, `boxes`, `rng` and `size` may be an argument of `get_transform`. A policy keeps
    no state and draws from `rng` alone, so a sample depends on nothing but its key.
    """


def augment(
    sample_input: SampleInput, augmentations: Sequence[Augmentation | Transform]
) -> TransformList:
    """Apply augmentations one after the other and return what was done, for the annotations.

    Augmentations that are not a `Policy` (detectron2's, a user's) draw from the global generators
    of Python, NumPy and PyTorch; these are seeded from the sample's generator for the call and
    restored afterwards.

    Args:
        sample_input: changed in place: its `image` and `boxes` are the augmented ones afterwards.
        augmentations: policies, foreign augmentations or plain transforms.
    """
    transforms = []
    for augmentation in augmentations:
        if isinstance(augmentation, Policy):
            transforms.append(augmentation(sample_input))
        else:
            with seeded_global_generators(sample_input.rng):
                transforms.append(AugmentationList([augmentation])(sample_input))
    return TransformList(transforms)


@contextmanager
def seeded_global_generators(rng: np.random.Generator) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and PyTorch (CPU) from `rng`; restore at exit."""
    seed = int(rng.integers(2**32))
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - foreign code draws from it
    torch_state = torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    # The CPU generator alone: `torch.manual_seed` would also reseed every accelerator.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
