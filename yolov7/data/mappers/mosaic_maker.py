"""From a record and random partners to a mosaic with its objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np

from yolov7.d2 import CfgNode, configurable
from yolov7.data.augmentation import (
    CANVAS_MAPS,
    MOSAIC_LAYOUTS,
    AffineDistribution,
    Mosaic,
    MosaicLayout,
    MosaicMixture,
    WarpTransform,
)
from yolov7.data.mappers.annotations import Annotations, concatenate
from yolov7.data.mappers.box_rule import BoxRule
from yolov7.data.mappers.partners import PartnerPool
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import look_up


@dataclass(frozen=True)
class Collage:
    """A picture put together from others.

    Attributes:
        image: (H, W, 3) uint8.
        annotations: its objects.
        sources: the files that can be seen in it.
    """

    image: np.ndarray
    annotations: Annotations
    sources: list[str]


class CollageStep(Protocol):
    """What is done to a mosaic, or not: a step draws that itself."""

    def __call__(
        self, collage: Collage, size: tuple[int, int], rng: np.random.Generator
    ) -> Collage:
        """The next collage of `size` (height, width); the given one is not changed."""


class MosaicMaker:
    """Makes mosaics of the wanted size.

    The differences from YOLOX's mosaics are few: boxes cut down to at most the rule's side by the
    mosaic's edge are dropped before the warp (their rotated hull would be a large box with
    nothing in it); when no box remains, the sample is an ordinary picture without objects (there,
    boxes of less than a pixel come back); pixels and boxes share one frame, without the half pixel
    between them.

    Args:
        pool: of the partners.
        mixture: kinds of mosaics to draw from.
    """

    @configurable
    def __init__(self, *, pool: PartnerPool, mixture: MosaicMixture) -> None:
        self.pool = pool
        self.mixture = mixture

    @classmethod
    def from_config(cls, cfg: CfgNode, *, pool: PartnerPool) -> dict[str, Any]:
        """Mosaics of one number of pictures or of several; nothing else differs between them."""
        node = cfg.INPUT.MOSAIC_AND_MIXUP
        distribution = AffineDistribution(
            degrees=node.DEGREES,
            translate=node.TRANSLATE,
            scale=node.SCALE,
            shear=node.SHEAR,
            perspective=node.PERSPECTIVE,
        )
        canvas_map = look_up(CANVAS_MAPS, node.WARP_ABOUT, "INPUT.MOSAIC_AND_MIXUP.WARP_ABOUT")
        layouts, probabilities = _read_mixture(cfg)
        mosaics = [
            Mosaic(
                layout=layout(),
                distribution=distribution,
                canvas_map=canvas_map,
                fill=float(cfg.MODEL.PADDED_VALUE),
            )
            for layout in layouts
        ]
        return {
            "pool": pool,
            "mixture": MosaicMixture(mosaics=mosaics, probabilities=probabilities),
        }

    def make(
        self, record: Mapping[str, Any], size: tuple[int, int], rng: np.random.Generator
    ) -> Collage:
        """A mosaic of `size` (height, width) whose first tile is the record's picture.

        Raises:
            ImageError: a picture cannot be read or is not of the declared size.
            DatasetError: an annotation cannot be used.
        """
        mosaic = self.mixture.draw(rng)
        tiles = [record, *self.pool.draw(rng, mosaic.layout.num_tiles - 1)]
        sizes = [(tile["height"], tile["width"]) for tile in tiles]
        transforms = mosaic.get_transforms(sizes, size, rng)
        # Of a magnified mosaic often only one or two tiles are seen: the others are not decoded.
        seen = [pair for pair in zip(tiles, transforms, strict=True) if pair[1].is_visible()]
        images = [self.pool.read_image(tile) for tile, _ in seen]
        image = mosaic.compose(images, [transform for _, transform in seen], size)
        parts = [Annotations.empty(with_masks=self.pool.with_masks)]
        for tile, transform in seen:
            parts.append(self.warp_visible(self.pool.read_objects(tile), transform))
        annotations = self.pool.inside(concatenate(parts), size)
        return Collage(image, annotations, [tile["file_name"] for tile, _ in seen])

    def warp_visible(self, objects: Annotations, transform: WarpTransform) -> Annotations:
        """What a tile shows of its objects, warped.

        Boxes are measured before the warp, but in pixels of the result: a sliver left by the
        mosaic's edge would otherwise be turned into a large upright box with nothing in it.
        """
        x_length, y_length = transform.edge_lengths()
        side = self.pool.box_rule.min_side
        rule = BoxRule(min_side=(side / x_length, side / y_length))
        return objects.cropped(transform.crop, rule=rule).transformed(transform)


def _read_mixture(cfg: CfgNode) -> tuple[list[type[MosaicLayout]], list[float]]:
    """Layouts and their probabilities, from NUM_IMAGES_MIXTURE or else NUM_IMAGES.

    Raises:
        ConfigError: there is no such mosaic, or the probabilities are none.
    """
    node = cfg.INPUT.MOSAIC_AND_MIXUP
    key, pairs = "NUM_IMAGES", [(node.NUM_IMAGES, 1.0)]
    if node.NUM_IMAGES_MIXTURE:
        key, pairs = "NUM_IMAGES_MIXTURE", list(node.NUM_IMAGES_MIXTURE)
    problem = _mixture_problem(pairs)
    if problem:
        raise ConfigError(f"INPUT.MOSAIC_AND_MIXUP.{key} is {node[key]}; {problem}")
    return [MOSAIC_LAYOUTS[number] for number, _ in pairs], [share for _, share in pairs]


def _mixture_problem(pairs: Sequence[Any]) -> str | None:
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        return "it must be pairs of a number and a probability, such as [[4, 0.8], [9, 0.2]]."
    if any(number not in MOSAIC_LAYOUTS for number, _ in pairs):
        return f"there are mosaics of {' and '.join(map(str, MOSAIC_LAYOUTS))} pictures."
    shares = [share for _, share in pairs]
    if not all(isinstance(share, Real) and share >= 0 for share in shares) or not math.isclose(
        sum(shares), 1.0, abs_tol=1e-6
    ):
        return "the probabilities must be numbers, not negative, that add up to 1."
    return None
