"""Mapper from one record and random partners to one sample: Mosaic and what is done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolov7.d2 import Augmentation, CfgNode, configurable
from yolov7.data.mappers.box_rule import build_box_rule
from yolov7.data.mappers.mixup import MIXUPS
from yolov7.data.mappers.mosaic_maker import CollageStep, MosaicMaker
from yolov7.data.mappers.partners import PartnerPool
from yolov7.data.mappers.paste_in import PasteIn
from yolov7.data.mappers.sample import describe, generator_for
from yolov7.data.mappers.single_image import TrainMapper, after_geometry
from yolov7.data.samplers import SampleKey
from yolov7.utils.names import look_up


class MosaicMapper:
    """Makes mosaics and combines them further, until the key says that this phase is over.

    The sample is a pure function of (record, rng, key) and the records of the partners. (In YOLOX,
    pictures without objects are not shifted in colour and flipped; here they are, like all others.)

    Args:
        maker: of the mosaics.
        steps: done to each mosaic in this order: MixUp, paste-in.
        augmentations: applied to the finished mosaic, which has the wanted size.
        single: makes the samples that are no mosaics; also gives size, format and so on.
        probability: of a mosaic, while they are on.
        close_at: mosaics are off for keys with this iteration or later. Without a key they are on.
    """

    @configurable
    def __init__(
        self,
        *,
        maker: MosaicMaker,
        steps: Sequence[CollageStep] = (),
        augmentations: Sequence[Augmentation],
        single: TrainMapper,
        probability: float = 1.0,
        close_at: int,
    ) -> None:
        self.maker = maker
        self.steps = list(steps)
        self.augmentations = list(augmentations)
        self.single = single
        self.probability = probability
        self.close_at = close_at

    @classmethod
    def from_config(
        cls, cfg: CfgNode, *, records: Sequence[Mapping[str, Any]], seed: int = 0
    ) -> dict[str, Any]:
        """The recipe that INPUT.MOSAIC_AND_MIXUP describes; its defaults are YOLOX's."""
        pool = PartnerPool(
            records=records,
            image_format=cfg.INPUT.FORMAT,
            box_rule=build_box_rule(cfg),
            with_masks=cfg.MODEL.MASK_ON,
        )
        maker = MosaicMaker(cfg, pool=pool)
        return {
            "maker": maker,
            "steps": _build_steps(cfg, maker),
            "augmentations": after_geometry(cfg),
            "single": TrainMapper(cfg, seed=seed),
            "probability": cfg.INPUT.MOSAIC_AND_MIXUP.PROBABILITY,
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
        collage = self.maker.make(record, size, rng)
        for step in self.steps:
            collage = step(collage, size, rng)
        return self.single.finish(
            collage.image,
            collage.annotations,
            self.augmentations,
            rng=rng,
            size=size,
            description={**describe(record), "sources": collage.sources},
        )


def _build_steps(cfg: CfgNode, maker: MosaicMaker) -> list[CollageStep]:
    """What is done to each mosaic: MixUp, then paste-in, if they are on."""
    node = cfg.INPUT.MOSAIC_AND_MIXUP
    steps: list[CollageStep] = []
    if node.ENABLE_MIXUP:
        mixup = look_up(MIXUPS, node.MIXUP_WITH, "INPUT.MOSAIC_AND_MIXUP.MIXUP_WITH")
        steps.append(mixup(cfg, maker=maker))
    if node.PASTE_IN_PROBABILITY > 0:
        steps.append(PasteIn(cfg, maker=maker))
    return steps
