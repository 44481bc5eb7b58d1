"""Mapper from one record and random partners to one sample: Mosaic and MixUp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolov7.d2 import Augmentation, CfgNode, configurable
from yolov7.data.augmentation import (
    MOSAIC_LAYOUTS,
    AffineDistribution,
    MixUp,
    Mosaic,
    WarpTransform,
)
from yolov7.data.formats.record import has_objects
from yolov7.data.image_io import read_record_image
from yolov7.data.mappers.annotations import Annotations, concatenate
from yolov7.data.mappers.sample import describe, generator_for
from yolov7.data.mappers.single_image import TrainMapper, color_and_flip
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ConfigError

# Draws after which a data set is taken to have (nearly) no picture with objects.
_PARTNER_DRAWS = 32


class MosaicMapper:
    """Makes mosaics, mixed with a further picture, until the key says that this phase is over.

    The sample is a pure function of (record, rng, key) and the records of the partners. The
    differences from YOLOX's data are few: boxes cut down to at most `min_box_side` by the mosaic's
    edge are dropped before the warp (their rotated hull would be a large box with nothing in it);
    when no box remains, the sample is an ordinary picture without objects (there, boxes of less
    than a pixel come back); pictures without objects are shifted in colour and flipped like all
    others; pixels and boxes share one frame, without the half pixel between them.

    Args:
        records: of all pictures, with `height` and `width`; partners are drawn from them
            uniformly, with replacement.
        mosaic: geometry of the tiles.
        mixup: None for none.
        augmentations: applied to the finished mosaic, which has the wanted size.
        single: makes the samples that are no mosaics; also gives size, format and so on.
        probability: of a mosaic, while they are on.
        close_at: mosaics are off for keys with this iteration or later. Without a key they are on.
    """

    @configurable
    def __init__(
        self,
        *,
        records: Sequence[Mapping[str, Any]],
        mosaic: Mosaic,
        mixup: MixUp | None,
        augmentations: Sequence[Augmentation],
        single: TrainMapper,
        probability: float = 1.0,
        close_at: int,
    ) -> None:
        self.records = records
        self.mosaic = mosaic
        self.mixup = mixup
        self.augmentations = list(augmentations)
        self.single = single
        self.probability = probability
        self.close_at = close_at

    @classmethod
    def from_config(
        cls, cfg: CfgNode, *, records: Sequence[Mapping[str, Any]], seed: int = 0
    ) -> dict[str, Any]:
        """YOLOX's recipe with the numbers of INPUT.MOSAIC_AND_MIXUP."""
        node = cfg.INPUT.MOSAIC_AND_MIXUP
        fill = float(cfg.MODEL.PADDED_VALUE)
        if node.NUM_IMAGES not in MOSAIC_LAYOUTS:
            raise ConfigError(
                f"INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES is {node.NUM_IMAGES}; there are mosaics of "
                f"{', '.join(map(str, MOSAIC_LAYOUTS))} pictures."
            )
        distribution = AffineDistribution(
            degrees=node.DEGREES,
            translate=node.TRANSLATE,
            scale=node.SCALE,
            shear=node.SHEAR,
            perspective=node.PERSPECTIVE,
        )
        mixup = MixUp(scale=node.MIXUP_SCALE, probability=node.MIXUP_PROBABILITY, fill=fill)
        return {
            "records": records,
            "mosaic": Mosaic(
                layout=MOSAIC_LAYOUTS[node.NUM_IMAGES](), distribution=distribution, fill=fill
            ),
            "mixup": mixup if node.ENABLE_MIXUP else None,
            "augmentations": color_and_flip(cfg),
            "single": TrainMapper(cfg, seed=seed),
            "probability": node.PROBABILITY,
            "close_at": cfg.SOLVER.MAX_ITER - cfg.SOLVER.LAST_PHASE_ITERS,
        }

    def __call__(
        self,
        record: Mapping[str, Any],
        rng: np.random.Generator | None = None,
        key: SampleKey | None = None,
    ) -> dict[str, Any]:
        """Make a training sample; see `TrainMapper` for arguments, result and errors.

        A mosaic has `height`, `width`, `image_id` and `file_name` of the given record; `sources`
        are the files that can be seen in it.
        """
        rng = generator_for(rng, key, self.single.seed)
        is_open = key is None or key.iteration < self.close_at
        if not (is_open and rng.random() < self.probability):
            return self.single(record, rng, key)

        size = self.single.size_of(key)
        partners = rng.integers(len(self.records), size=self.mosaic.layout.num_tiles - 1)
        tiles = [record, *(self.records[int(index)] for index in partners)]
        image, annotations, sources = self._make_mosaic(tiles, size, rng)
        if self.mixup is not None and len(annotations) and rng.random() < self.mixup.probability:
            partner = self._draw_partner_with_objects(rng)
            if partner is not None:
                sources.append(partner["file_name"])
                image, annotations = self._mix(image, annotations, partner, size, rng)
        return self.single.finish(
            image,
            annotations,
            self.augmentations,
            rng=rng,
            size=size,
            description={**describe(record), "sources": sources},
        )

    def _make_mosaic(
        self, tiles: Sequence[Mapping[str, Any]], size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, Annotations, list[str]]:
        """The mosaic, its objects, and the files that can be seen in it."""
        sizes = [(tile["height"], tile["width"]) for tile in tiles]
        transforms = self.mosaic.get_transforms(sizes, size, rng)
        # Of a magnified mosaic often only one or two tiles are seen: the others are not decoded.
        seen = [pair for pair in zip(tiles, transforms, strict=True) if pair[1].is_visible()]
        images = [read_record_image(tile, self.single.image_format) for tile, _ in seen]
        image = self.mosaic.compose(images, [transform for _, transform in seen], size)
        parts = [Annotations.empty(with_masks=self.single.with_masks)]
        for tile, transform in seen:
            objects = Annotations.from_record(tile, with_masks=self.single.with_masks)
            parts.append(self._warp_visible(objects, transform))
        annotations = self._inside(concatenate(parts), size)
        return image, annotations, [tile["file_name"] for tile, _ in seen]

    def _mix(
        self,
        image: np.ndarray,
        annotations: Annotations,
        partner: Mapping[str, Any],
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, Annotations]:
        second = read_record_image(partner, self.single.image_format)
        transform, covered = self.mixup.get_transforms(second.shape[:2], size, rng)
        image = self.mixup.compose(image, second, transform, covered)
        objects = Annotations.from_record(partner, with_masks=self.single.with_masks)
        objects = self._inside(objects.transformed(transform), size)
        return image, concatenate([annotations, objects])

    def _draw_partner_with_objects(self, rng: np.random.Generator) -> Mapping[str, Any] | None:
        """A record with objects, or None if 32 draws found none: the mosaic then stays unmixed."""
        for _ in range(_PARTNER_DRAWS):
            partner = self.records[int(rng.integers(len(self.records)))]
            if has_objects(partner):
                return partner
        return None

    def _warp_visible(self, objects: Annotations, transform: WarpTransform) -> Annotations:
        """What a tile shows of its objects, warped.

        Boxes are measured before the warp, but in pixels of the result: a sliver left by the
        mosaic's edge would otherwise be turned into a large upright box with nothing in it.
        """
        x_length, y_length = transform.edge_lengths()
        side = self.single.min_box_side
        visible = objects.cropped(transform.crop, min_side=(side / x_length, side / y_length))
        return visible.transformed(transform)

    def _inside(self, annotations: Annotations, size: tuple[int, int]) -> Annotations:
        side = self.single.min_box_side
        return annotations.cropped((0, 0, size[1], size[0]), min_side=(side, side))
