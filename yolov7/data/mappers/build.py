"""Mappers as a config asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yolov7.d2 import CfgNode
from yolov7.data.mappers.multi_image import MosaicMapper
from yolov7.data.mappers.single_image import TestMapper, TrainMapper


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


def build_test_mapper(cfg: CfgNode) -> TestMapper:
    """Mapper of samples for inference and evaluation."""
    return TestMapper(cfg)
