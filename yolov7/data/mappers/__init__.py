"""Mappers: from a record to a sample."""

from __future__ import annotations

from yolov7.data.mappers.annotations import Annotations, concatenate
from yolov7.data.mappers.build import (
    build_test_mapper,
    build_train_mapper,
    build_validation_mapper,
)
from yolov7.data.mappers.multi_image import MosaicMapper
from yolov7.data.mappers.single_image import TestMapper, TrainMapper

__all__ = [
    "Annotations",
    "MosaicMapper",
    "TestMapper",
    "TrainMapper",
    "build_test_mapper",
    "build_train_mapper",
    "build_validation_mapper",
    "concatenate",
]
