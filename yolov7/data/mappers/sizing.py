"""How single pictures get their size: all one and the same, or each by its short side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yolov7.d2 import Augmentation, CfgNode
from yolov7.data.augmentation import (
    AffineDistribution,
    PadToSize,
    RandomAffine,
    ResizeOrCrop,
    ResizeShortSide,
    ResizeToFit,
    ResizeToSize,
)
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import look_up


@dataclass(frozen=True)
class Sizing:
    """The policies that decide a picture's size.

    Attributes:
        training: in training, before colours and flips.
        inference: in evaluation and inference; draws nothing that matters.
        padding: in training and for validation losses, after all others.
    """

    training: Sequence[Augmentation]
    inference: Augmentation
    padding: Sequence[Augmentation]


def _fit(cfg: CfgNode) -> Sizing:
    """Into INPUT.INPUT_SIZE, warped if INPUT.RANDOM_AFFINE; training pads to exactly that size."""
    fill = float(cfg.MODEL.PADDED_VALUE)
    _refuse_crops(cfg)
    affine = cfg.INPUT.RANDOM_AFFINE
    training: Augmentation = ResizeToFit()
    if affine.ENABLED:
        distribution = AffineDistribution(
            degrees=affine.DEGREES,
            translate=affine.TRANSLATE,
            scale=affine.SCALE,
            shear=affine.SHEAR,
            perspective=affine.PERSPECTIVE,
        )
        training = RandomAffine(distribution=distribution, fill=fill)
    return Sizing([training], ResizeToFit(), [PadToSize(fill=fill)])


def _stretch(cfg: CfgNode) -> Sizing:
    """To exactly INPUT.INPUT_SIZE, without regard to the aspect."""
    _refuse_crops(cfg)
    if cfg.INPUT.RANDOM_AFFINE.ENABLED:
        raise ConfigError(
            'INPUT.RANDOM_AFFINE keeps the aspect of pictures, but INPUT.RESIZE is "stretch". Set '
            'INPUT.RESIZE "fit", or INPUT.RANDOM_AFFINE.ENABLED False'
        )
    return Sizing([ResizeToSize()], ResizeToSize(), [])


def _refuse_crops(cfg: CfgNode) -> None:
    if cfg.INPUT.RESIZE_OR_CROP.ENABLED:
        raise ConfigError(
            f"INPUT.RESIZE_OR_CROP makes pictures of many sizes, but INPUT.RESIZE is "
            f'"{cfg.INPUT.RESIZE}". Set INPUT.RESIZE "short_side", or INPUT.RESIZE_OR_CROP.ENABLED '
            "False"
        )


def _short_side(cfg: CfgNode) -> Sizing:
    """By detectron2's INPUT.{MIN,MAX}_SIZE_{TRAIN,TEST}; the detector pads the batch."""
    for key, enabled in (
        ("INPUT.RANDOM_AFFINE", cfg.INPUT.RANDOM_AFFINE.ENABLED),
        ("INPUT.MULTI_SCALE", cfg.INPUT.MULTI_SCALE.ENABLED),
    ):
        if enabled:
            raise ConfigError(
                f"{key} makes pictures of the size INPUT.INPUT_SIZE says, but INPUT.RESIZE is "
                f'"short_side". Set INPUT.RESIZE "fit", or {key}.ENABLED False'
            )
    training: Augmentation = _resize(cfg)
    node = cfg.INPUT.RESIZE_OR_CROP
    if node.ENABLED:
        low, high = node.CROP_SIZE
        if not 0 < low <= high or low > min(node.MIN_SIZES, default=0):
            raise ConfigError(
                "INPUT.RESIZE_OR_CROP: expected CROP_SIZE [low, high] with 0 < low <= high and low "
                f"at most each of MIN_SIZES, got CROP_SIZE {node.CROP_SIZE}, MIN_SIZES "
                f"{node.MIN_SIZES}"
            )
        training = ResizeOrCrop(
            resize=_resize(cfg),
            before_crop=_short_sides(node.MIN_SIZES, None, "INPUT.RESIZE_OR_CROP.MIN_SIZES"),
            crop=(low, high),
            probability=node.PROBABILITY,
        )
    tested = cfg.INPUT.MIN_SIZE_TEST
    inference = _short_sides([tested], cfg.INPUT.MAX_SIZE_TEST, "INPUT.MIN_SIZE_TEST")
    return Sizing([training], inference, [])


def _resize(cfg: CfgNode) -> ResizeShortSide:
    """Of training pictures."""
    samplings = {"choice": lambda sizes: list(sizes), "range": _every_size_between}
    key = "INPUT.MIN_SIZE_TRAIN_SAMPLING"
    sizes = look_up(samplings, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING, key)(cfg.INPUT.MIN_SIZE_TRAIN)
    return _short_sides(sizes, cfg.INPUT.MAX_SIZE_TRAIN, "INPUT.MIN_SIZE_TRAIN")


def _every_size_between(sizes: Sequence[int]) -> Sequence[int]:
    if len(sizes) != 2:
        raise ConfigError(
            'INPUT.MIN_SIZE_TRAIN: expected the lowest and the highest length for "range", got '
            f"{list(sizes)}"
        )
    return range(sizes[0], sizes[1] + 1)


def _short_sides(sizes: Sequence[int], longest: int | None, key: str) -> ResizeShortSide:
    if min(sizes, default=0) < 1 or (longest is not None and longest < 1):
        raise ConfigError(
            f"{key}: expected positive lengths of the short side, and a positive bound of the long "
            f"one, got {list(sizes)} and {longest}"
        )
    return ResizeShortSide(short_sides=sizes, longest=longest)


SIZINGS: dict[str, Callable[[CfgNode], Sizing]] = {
    "fit": _fit,
    "stretch": _stretch,
    "short_side": _short_side,
}
"""The values of `INPUT.RESIZE`."""


def build_sizing(cfg: CfgNode) -> Sizing:
    """The sizing that `INPUT.RESIZE` names.

    Raises:
        ConfigError: there is no such one, or another key of `INPUT` does not go with it.
    """
    return look_up(SIZINGS, cfg.INPUT.RESIZE, "INPUT.RESIZE")(cfg)
