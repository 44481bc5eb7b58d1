"""Augmentation: random policies that decide on deterministic transforms."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import Transform, TransformList

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class AugInput:
    """The parts of a sample that augmentations see and change.

    Attributes:
        image: (H, W) or (H, W, C), uint8 or floating point.
        boxes: float (N, 4), xyxy pixels, or `None`.
        sem_seg: integer labels (H, W), or `None`.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        sem_seg: np.ndarray | None = None,
    ):
        assert isinstance(image, np.ndarray), f"Expected an array, got {type(image).__name__}."
        integer = np.issubdtype(image.dtype, np.integer)
        assert not integer or image.dtype == np.uint8, (
            f"Expected a uint8 or floating point image, got {image.dtype}."
        )
        assert image.ndim in (2, 3), f"Expected an image (H, W[, C]), got shape {image.shape}."
        self.image = image
        self.boxes = boxes
        self.sem_seg = sem_seg

    def transform(self, tfm: Transform) -> None:
        """Apply a transform to all parts."""
        self.image = tfm.apply_image(self.image)
        if self.boxes is not None:
            self.boxes = tfm.apply_box(self.boxes)
        if self.sem_seg is not None:
            self.sem_seg = tfm.apply_segmentation(self.sem_seg)

    def apply_augmentations(
        self, augmentations: Sequence[Augmentation | Transform]
    ) -> TransformList:
        """Apply augmentations one after the other and return the transforms that came of it."""
        return AugmentationList(augmentations)(self)


class Augmentation:
    """A policy: `get_transform` looks at parts of a sample and decides on a `Transform`.

    Its parameters are named after the attributes of the input that it wants (`image`, `boxes`,
    `sem_seg`); a single parameter always gets the image. `input_args` states the names instead,
    where they cannot be read from the signature.
    """

    input_args: tuple[str, ...] | None = None

    def get_transform(self, *args: Any) -> Transform:
        """Decide on the transform; subclasses must write this."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_transform.")

    def __call__(self, aug_input: Any) -> Transform:
        """Change the input by the transform decided on, and return that for everything else."""
        arguments = [self._attribute_of(aug_input, name) for name in self._input_names()]
        tfm = self.get_transform(*arguments)
        assert isinstance(tfm, Transform), (
            f"{type(self).__name__}.get_transform must return a Transform, got {tfm!r}."
        )
        aug_input.transform(tfm)
        return tfm

    def _input_names(self) -> tuple[str, ...]:
        if self.input_args is None:
            parameters = inspect.signature(self.get_transform).parameters
            if len(parameters) != 1 and any(p.kind in _VARIABLE for p in parameters.values()):
                raise TypeError(
                    f"{type(self).__name__}.get_transform takes a variable number of arguments: "
                    "name its parameters, or define __call__ instead."
                )
            self.input_args = ("image",) if len(parameters) == 1 else tuple(parameters)
        return self.input_args

    def _attribute_of(self, aug_input: Any, name: str) -> Any:
        if not hasattr(aug_input, name):
            raise AttributeError(
                f"{type(self).__name__} needs '{name}', which {type(aug_input).__name__} lacks."
            )
        return getattr(aug_input, name)

    def _init(self, params: dict[str, Any] | None = None) -> None:
        """Store a constructor's `locals()` as attributes: custom in the ecosystem's subclasses."""
        for name, value in (params or {}).items():
            if name != "self" and not name.startswith("_"):
                setattr(self, name, value)

    def _rand_range(
        self, low: float = 1.0, high: float | None = None, size: Any = None
    ) -> np.ndarray:
        """Uniform numbers from [low, high), or from [0, low) when `high` is not given."""
        bounds = (0, low) if high is None else (low, high)
        return np.random.uniform(*bounds, size=[] if size is None else size)  # noqa: NPY002

    def __repr__(self) -> str:
        """Show the arguments of the constructor that differ from their defaults."""
        parameters = inspect.signature(self.__init__).parameters
        known = [p for p in parameters.values() if hasattr(self, p.name)]
        shown = ", ".join(
            f"{p.name}={getattr(self, p.name)!r}"
            for p in known
            if getattr(self, p.name) is not p.default
        )
        return f"{type(self).__name__}({shown})"


class _FixedAugmentation(Augmentation):
    """A policy that always decides on the same transform."""

    def __init__(self, tfm: Transform):
        self.tfm = tfm

    def __call__(self, aug_input: Any) -> Transform:
        aug_input.transform(self.tfm)
        return self.tfm

    def __repr__(self) -> str:
        return repr(self.tfm)


class AugmentationList(Augmentation):
    """Augmentations one after the other; each sees what the one before has made.

    Transforms in the list are applied as they are. Calling it returns a `TransformList`.
    """

    def __init__(self, augs: Sequence[Augmentation | Transform]):
        for aug in augs:
            assert isinstance(aug, (Augmentation, Transform)), f"Not an augmentation: {aug!r}"
        self.augs = [
            aug if isinstance(aug, Augmentation) else _FixedAugmentation(aug) for aug in augs
        ]

    def __call__(self, aug_input: Any) -> TransformList:
        return TransformList([aug(aug_input) for aug in self.augs])

    def __repr__(self) -> str:
        return f"AugmentationList[{', '.join(map(repr, self.augs))}]"
