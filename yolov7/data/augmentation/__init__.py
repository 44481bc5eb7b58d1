"""Augmentation: random policies that yield deterministic transforms of picture, boxes and masks."""

from __future__ import annotations

from yolov7.data.augmentation.affine import (
    AffineDistribution,
    AffineParameters,
    RandomAffine,
    matrix_about_center,
    matrix_about_origin,
    matrix_between_centers,
)
from yolov7.data.augmentation.flip import (
    RANDOM_FLIPS,
    HorizontalFlip,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    VerticalFlip,
)
from yolov7.data.augmentation.hsv import (
    HSVShiftTransform,
    HSVTransform,
    RandomHSVGain,
    RandomHSVShift,
    hsv_gain_tables,
    hsv_tables,
)
from yolov7.data.augmentation.letterbox import CanvasTransform, Letterbox, PadToSize
from yolov7.data.augmentation.mixup import MixUp, blend
from yolov7.data.augmentation.mosaic import CANVAS_MAPS, CanvasMap, Mosaic, MosaicMixture
from yolov7.data.augmentation.mosaic_layouts import (
    MOSAIC_LAYOUTS,
    FourTileLayout,
    MosaicLayout,
    NineTileLayout,
    Placement,
)
from yolov7.data.augmentation.polygons import clip_polygon
from yolov7.data.augmentation.resize import ResizeToFit, ResizeToSize, ResizeTransform, fitted_size
from yolov7.data.augmentation.resize_or_crop import ResizeOrCrop
from yolov7.data.augmentation.sample_input import (
    Policy,
    SampleInput,
    augment,
    seeded_global_generators,
)
from yolov7.data.augmentation.shift import RandomShift
from yolov7.data.augmentation.short_side import (
    ResizeShortSide,
    SmoothResizeTransform,
    short_side_size,
)
from yolov7.data.augmentation.warp import WarpTransform

__all__ = [
    "CANVAS_MAPS",
    "MOSAIC_LAYOUTS",
    "RANDOM_FLIPS",
    "AffineDistribution",
    "AffineParameters",
    "CanvasMap",
    "CanvasTransform",
    "FourTileLayout",
    "HSVShiftTransform",
    "HSVTransform",
    "HorizontalFlip",
    "Letterbox",
    "MixUp",
    "Mosaic",
    "MosaicLayout",
    "MosaicMixture",
    "NineTileLayout",
    "PadToSize",
    "Placement",
    "Policy",
    "RandomAffine",
    "RandomHSVGain",
    "RandomHSVShift",
    "RandomHorizontalFlip",
    "RandomShift",
    "RandomVerticalFlip",
    "ResizeOrCrop",
    "ResizeShortSide",
    "ResizeToFit",
    "ResizeToSize",
    "ResizeTransform",
    "SampleInput",
    "SmoothResizeTransform",
    "VerticalFlip",
    "WarpTransform",
    "augment",
    "blend",
    "clip_polygon",
    "fitted_size",
    "hsv_gain_tables",
    "hsv_tables",
    "matrix_about_center",
    "matrix_about_origin",
    "matrix_between_centers",
    "seeded_global_generators",
    "short_side_size",
]
