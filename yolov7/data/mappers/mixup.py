"""MixUp of a mosaic: with a picture (YOLOX) or with another mosaic (YOLOv7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from yolov7.d2 import CfgNode, configurable
from yolov7.data.augmentation import MixUp, blend
from yolov7.data.formats.record import has_objects
from yolov7.data.mappers.annotations import concatenate
from yolov7.data.mappers.mosaic_maker import Collage, CollageStep, MosaicMaker
from yolov7.data.mappers.partners import PartnerPool
from yolov7.utils.errors import ConfigError

# Draws after which a data set is taken to have (nearly) no picture with objects.
_PARTNER_DRAWS = 32


class PictureMixUp:
    """The mean of a mosaic and a picture with objects (YOLOX).

    A mosaic without objects stays as it is, as it does when 32 draws found no picture with any.

    Args:
        pool: of the partners.
        mixup: probability and geometry.
    """

    @configurable
    def __init__(self, *, pool: PartnerPool, mixup: MixUp) -> None:
        self.pool = pool
        self.mixup = mixup

    @classmethod
    def from_config(cls, cfg: CfgNode, *, maker: MosaicMaker) -> dict[str, Any]:
        """YOLOX's recipe."""
        node = cfg.INPUT.MOSAIC_AND_MIXUP
        mixup = MixUp(
            scale=node.MIXUP_SCALE,
            probability=node.MIXUP_PROBABILITY,
            fill=float(cfg.MODEL.PADDED_VALUE),
        )
        return {"pool": maker.pool, "mixup": mixup}

    def __call__(
        self, collage: Collage, size: tuple[int, int], rng: np.random.Generator
    ) -> Collage:
        """Perhaps mix; see `CollageStep`."""
        if not (len(collage.annotations) and rng.random() < self.mixup.probability):
            return collage
        partner = self._draw_partner_with_objects(rng)
        if partner is None:
            return collage
        second = self.pool.read_image(partner)
        transform, covered = self.mixup.get_transforms(second.shape[:2], size, rng)
        objects = self.pool.read_objects(partner).transformed(transform)
        return Collage(
            self.mixup.compose(collage.image, second, transform, covered),
            concatenate([collage.annotations, self.pool.inside(objects, size)]),
            [*collage.sources, partner["file_name"]],
        )

    def _draw_partner_with_objects(self, rng: np.random.Generator) -> Mapping[str, Any] | None:
        for _ in range(_PARTNER_DRAWS):
            (partner,) = self.pool.draw(rng, 1)
            if has_objects(partner):
                return partner
        return None


class MosaicMixUp:
    """A mosaic blended with a second one, r to 1 - r with r ~ Beta(x, x) (YOLOv7: x = 8).

    Objects of both are learned alike, whatever r is.

    Args:
        maker: of the second mosaic, which starts from a random record.
        probability: that a mosaic is mixed at all.
        beta: the distribution's x; the larger, the nearer are the weights to one half.
    """

    @configurable
    def __init__(self, *, maker: MosaicMaker, probability: float, beta: float = 8.0) -> None:
        if beta <= 0:
            raise ConfigError(
                f"INPUT.MOSAIC_AND_MIXUP.MIXUP_BETA is {beta}; Beta's parameter must be above 0."
            )
        self.maker = maker
        self.probability = probability
        self.beta = beta

    @classmethod
    def from_config(cls, cfg: CfgNode, *, maker: MosaicMaker) -> dict[str, Any]:
        """YOLOv7's recipe."""
        node = cfg.INPUT.MOSAIC_AND_MIXUP
        return {"maker": maker, "probability": node.MIXUP_PROBABILITY, "beta": node.MIXUP_BETA}

    def __call__(
        self, collage: Collage, size: tuple[int, int], rng: np.random.Generator
    ) -> Collage:
        """Perhaps mix; see `CollageStep`."""
        if rng.random() >= self.probability:
            return collage
        weight = self.draw_weight(rng)
        (record,) = self.maker.pool.draw(rng, 1)
        second = self.maker.make(record, size, rng)
        return Collage(
            blend(collage.image, second.image, weight),
            concatenate([collage.annotations, second.annotations]),
            [*collage.sources, *second.sources],
        )

    def draw_weight(self, rng: np.random.Generator) -> float:
        """The first mosaic's share."""
        return float(rng.beta(self.beta, self.beta))


# By INPUT.MOSAIC_AND_MIXUP.MIXUP_WITH; called with the config and `maker`.
MIXUPS: dict[str, Callable[..., CollageStep]] = {"picture": PictureMixUp, "mosaic": MosaicMixUp}
