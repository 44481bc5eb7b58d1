"""Mappers from one record to one sample, for training and for inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolov7.d2 import Augmentation, CfgNode, configurable
from yolov7.data.augmentation import (
    RANDOM_FLIPS,
    Policy,
    RandomHSVGain,
    RandomHSVShift,
    RandomShift,
    ResizeToFit,
    SampleInput,
    augment,
)
from yolov7.data.image_io import read_record_image
from yolov7.data.mappers.annotations import Annotations
from yolov7.data.mappers.box_rule import DEFAULT_RULE, BoxRule, build_box_rule
from yolov7.data.mappers.sample import describe, generator_for, image_to_tensor
from yolov7.data.mappers.sizing import build_sizing
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect
from yolov7.utils.names import suggest


class TrainMapper:
    """Reads one picture and augments it.

    Args:
        augmentations: applied in order.
        input_size: (height, width) that they are asked for where the key names no other.
        image_format: "BGR" or "RGB".
        box_rule: which boxes are kept in the end.
        with_masks: give samples `gt_masks`.
        seed: for keys that come without a generator.
    """

    @configurable
    def __init__(
        self,
        *,
        augmentations: Sequence[Augmentation],
        input_size: tuple[int, int],
        image_format: str = "BGR",
        box_rule: BoxRule = DEFAULT_RULE,
        with_masks: bool = False,
        seed: int = 0,
    ) -> None:
        self.augmentations = list(augmentations)
        self.input_size = input_size
        self.image_format = image_format
        self.box_rule = box_rule
        self.with_masks = with_masks
        self.seed = seed

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Bring to a size as INPUT.RESIZE says, shift colours, flip, shift, pad."""
        sizing = build_sizing(cfg)
        return {
            "augmentations": [*sizing.training, *after_geometry(cfg), *sizing.padding],
            "input_size": tuple(cfg.INPUT.INPUT_SIZE),
            "image_format": cfg.INPUT.FORMAT,
            "box_rule": build_box_rule(cfg),
            "with_masks": cfg.MODEL.MASK_ON,
        }

    def __call__(
        self,
        record: Mapping[str, Any],
        rng: np.random.Generator | None = None,
        key: SampleKey | None = None,
    ) -> dict[str, Any]:
        """Make a training sample.

        Args:
            record: not changed.
            rng: all chance comes from it; without, see `generator_for`.
            key: gives the size, if it has one.

        Returns:
            `image` uint8 (3, H, W), `instances`, `height`, `width` (of the file), `image_id`,
            `file_name`, `sources`.

        Raises:
            ImageError: the picture cannot be read or is not of the declared size.
            DatasetError: an annotation cannot be used.
        """
        rng = generator_for(rng, key, self.seed)
        image, record = _read_with_size(record, self.image_format)
        annotations = Annotations.from_record(record, with_masks=self.with_masks)
        return self.finish(
            image,
            annotations,
            self.augmentations,
            rng=rng,
            size=self.size_of(key),
            description=describe(record),
        )

    def size_of(self, key: SampleKey | None) -> tuple[int, int]:
        """(height, width) that a sample of this key has."""
        return self.input_size if key is None or key.size is None else key.size

    def finish(
        self,
        image: np.ndarray,
        annotations: Annotations,
        augmentations: Sequence[Augmentation],
        *,
        rng: np.random.Generator,
        size: tuple[int, int],
        description: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Augment a picture with its objects, and pack them.

        Args:
            image: (H, W, 3) uint8.
            description: further fields of the sample.
        """
        sample_input = SampleInput(image, rng=rng, size=size, boxes=annotations.boxes)
        transform = augment(sample_input, augmentations)
        instances = annotations.transformed(transform).to_instances(
            sample_input.image.shape[:2], rule=self.box_rule
        )
        return {
            **description,
            "image": image_to_tensor(sample_input.image),
            "instances": instances,
        }


class TestMapper:
    """Reads one picture and resizes it; the detector pads.

    Args:
        input_size: (height, width) that `resizing` is asked for.
        image_format: "BGR" or "RGB".
        resizing: by default to fit into the size, keeping the aspect; sides are truncated.
    """

    __test__ = False  # not a test class, whatever its name tells pytest

    @configurable
    def __init__(
        self,
        *,
        input_size: tuple[int, int],
        image_format: str = "BGR",
        resizing: Augmentation | None = None,
    ) -> None:
        self.input_size = input_size
        self.image_format = image_format
        self.resizing = ResizeToFit() if resizing is None else resizing

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Size, channel order, and the resizing that INPUT.RESIZE names."""
        return {
            "input_size": tuple(cfg.INPUT.INPUT_SIZE),
            "image_format": cfg.INPUT.FORMAT,
            "resizing": build_sizing(cfg).inference,
        }

    def __call__(
        self,
        record: Mapping[str, Any],
        rng: np.random.Generator | None = None,
        key: SampleKey | None = None,
    ) -> dict[str, Any]:
        """Make a test sample; nothing is random, so `rng` and `key` do not matter.

        Returns:
            `image` uint8 (3, H, W), `height`, `width` (of the file), `image_id`, `file_name`,
            `sources`.

        Raises:
            ImageError: the picture cannot be read or is not of the declared size.
        """
        image, record = _read_with_size(record, self.image_format)
        return {**describe(record), "image": image_to_tensor(self.resize(image))}

    def resize(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) picture resized, for pictures that do not come from a record."""
        # Resizings that can draw have one length to choose from here.
        sample_input = SampleInput(image, rng=np.random.default_rng(0), size=self.input_size)
        augment(sample_input, [self.resizing])
        return sample_input.image


def _read_with_size(
    record: Mapping[str, Any], image_format: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """A record's picture, and a copy of the record that knows its height and width."""
    image = read_record_image(record, image_format)
    return image, {**record, "height": image.shape[0], "width": image.shape[1]}


def after_geometry(cfg: CfgNode) -> list[Policy]:
    """Colours, flip and shift, which follow the geometry of single pictures and mosaics alike.

    Raises:
        ConfigError: INPUT.RANDOM_FLIP is none of detectron2's values, or a number is out of range.
    """
    policies: list[Policy] = []
    offsets = cfg.INPUT.HSV_SHIFT
    if offsets.ENABLED:
        policies.append(
            RandomHSVShift(
                hue=offsets.HUE,
                saturation=offsets.SATURATION,
                value=offsets.VALUE,
                probability=offsets.PROBABILITY,
                image_format=cfg.INPUT.FORMAT,
            )
        )
    gain = cfg.INPUT.HSV_GAIN
    if gain.ENABLED:
        policies.append(
            RandomHSVGain(
                hue=gain.HUE,
                saturation=gain.SATURATION,
                value=gain.VALUE,
                image_format=cfg.INPUT.FORMAT,
            )
        )
    flip = cfg.INPUT.RANDOM_FLIP
    if flip not in RANDOM_FLIPS:
        raise ConfigError(
            f"INPUT.RANDOM_FLIP is '{flip}', which is not known.{suggest(flip, RANDOM_FLIPS)}"
        )
    policies += [policy() for policy in RANDOM_FLIPS[flip]]
    shift = cfg.INPUT.SHIFT
    if shift.ENABLED:
        pixels = shift.SHIFT_PIXELS
        expect(pixels >= 1, "INPUT.SHIFT.SHIFT_PIXELS", "at least 1", pixels)
        policies.append(RandomShift(pixels=pixels, probability=shift.PROBABILITY))
    return policies
