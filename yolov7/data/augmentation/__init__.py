"""Augmentation: random policies that yield deterministic transforms of picture, boxes and masks."""

from __future__ import annotations

from yolov7.data.augmentation.affine import (
    AffineDistribution,
    AffineParameters,
    RandomAffine,
    matrix_about_center,
    matrix_about_origin,
)
from yolov7.data.augmentation.flip import (
    RANDOM_FLIPS,
    HorizontalFlip,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    VerticalFlip,
)
from yolov7.data.augmentation.hsv import HSVShiftTransform, RandomHSVShift, hsv_tables
from yolov7.data.augmentation.letterbox import CanvasTransform, Letterbox, PadToSize
from yolov7.data.augmentation.mixup import MixUp
from yolov7.data.augmentation.mosaic import (
    MOSAIC_LAYOUTS,
    FourTileLayout,
    Mosaic,
    MosaicLayout,
    Placement,
)
from yolov7.data.augmentation.polygons import clip_polygon
from yolov7.data.augmentation.resize import ResizeToFit, ResizeTransform, fitted_size
from yolov7.data.augmentation.sample_input import (
    Policy,
    SampleInput,
    augment,
    seeded_global_generators,
)
from yolov7.data.augmentation.warp import WarpTransform

__all__ = [
    "MOSAIC_LAYOUTS",
    "RANDOM_FLIPS",
    "AffineDistribution",
    "AffineParameters",
    "CanvasTransform",
    "FourTileLayout",
    "HSVShiftTransform",
    "HorizontalFlip",
    "Letterbox",
    "MixUp",
    "Mosaic",
    "MosaicLayout",
    "PadToSize",
    "Placement",
    "Policy",
    "RandomAffine",
    "RandomHSVShift",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "ResizeToFit",
    "ResizeTransform",
    "SampleInput",
    "VerticalFlip",
    "WarpTransform",
    "augment",
    "clip_polygon",
    "fitted_size",
    "hsv_tables",
    "matrix_about_center",
    "matrix_about_origin",
    "seeded_global_generators",
]
