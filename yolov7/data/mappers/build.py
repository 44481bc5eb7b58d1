"""Mappers as a config asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from yolov7.d2 import CfgNode
from yolov7.data.mappers.box_rule import build_box_rule
from yolov7.data.mappers.multi_image import MosaicMapper
from yolov7.data.mappers.single_image import TestMapper, TrainMapper
from yolov7.data.mappers.sizing import build_sizing


def build_train_mapper(
    cfg: CfgNode, records: Sequence[Mapping[str, Any]], *, seed: int
) -> MosaicMapper | TrainMapper:
    """Mapper of training samples, with Mosaic if INPUT.MOSAIC_AND_MIXUP.ENABLED.

    Args:
        records: all training records, among which a Mosaic finds its partners.
        seed: the run's seed, for keys that come without a generator.

    Raises:
        ConfigError: a value of `INPUT` is not known.
    """
    if cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED:
        return MosaicMapper(cfg, records=records, seed=seed)
    return TrainMapper(cfg, seed=seed)


def train_mapper_reads_masks(cfg: CfgNode) -> bool:
    """Whether the training mapper of a config needs the `segmentation` of records' annotations."""
    mosaic = cfg.INPUT.MOSAIC_AND_MIXUP
    return cfg.MODEL.MASK_ON or (mosaic.ENABLED and mosaic.PASTE_IN_PROBABILITY > 0)


def build_test_mapper(cfg: CfgNode) -> TestMapper:
    """Mapper of samples for inference and evaluation."""
    return TestMapper(cfg)


def build_validation_mapper(cfg: CfgNode) -> Callable[..., dict[str, Any]]:
    """Mapper of samples with ground truth as in training, but without augmentation."""
    sizing = build_sizing(cfg)
    mapper = TrainMapper(
        augmentations=[sizing.inference, *sizing.padding],
        input_size=tuple(cfg.INPUT.INPUT_SIZE),
        image_format=cfg.INPUT.FORMAT,
        box_rule=build_box_rule(cfg),
        with_masks=cfg.MODEL.MASK_ON,
    )
    # Nothing depends on it; without one the mapper would draw a seed from PyTorch's generator.
    return partial(mapper, rng=np.random.default_rng(0))
