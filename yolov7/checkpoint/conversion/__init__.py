"""Weights of the original authors to ours; a source is one file here and one line below."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from yolov7.checkpoint.conversion.anchor_detr import convert_anchor_detr
from yolov7.checkpoint.conversion.darknet import convert_darknet
from yolov7.checkpoint.conversion.detectron2 import convert_detectron2_resnet
from yolov7.checkpoint.conversion.detr import convert_detr
from yolov7.checkpoint.conversion.renaming import Shapes
from yolov7.checkpoint.conversion.yolof import convert_yolof
from yolov7.checkpoint.conversion.yolov7 import convert_yolov7
from yolov7.checkpoint.conversion.yolox import convert_yolox
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

__all__ = [
    "CONVERTERS",
    "Converter",
    "Shapes",
    "convert_anchor_detr",
    "convert_darknet",
    "convert_detectron2_resnet",
    "convert_detr",
    "convert_weights",
    "convert_yolof",
    "convert_yolov7",
    "convert_yolox",
]

Converter = Callable[[str | os.PathLike[str] | Mapping[str, Any], Shapes], dict[str, Tensor]]
"""(file or what it holds, {name: shape} of our model) to our state dict."""

CONVERTERS: dict[str, Converter] = {
    "anchor_detr": convert_anchor_detr,
    "darknet": convert_darknet,
    "detectron2": convert_detectron2_resnet,
    "detr": convert_detr,
    "yolof": convert_yolof,
    "yolov7": convert_yolov7,
    "yolox": convert_yolox,
}


def convert_weights(
    name: str, source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert foreign weights with the converter called `name`.

    Args:
        name: a key of `CONVERTERS`.
        source: the foreign file, or what it holds.
        shapes: {name: shape} of our model's state dict, in its order.

    Raises:
        ConfigError: there is no such converter.
        WeightsError: the weights do not belong to the model.
    """
    if name not in CONVERTERS:
        raise ConfigError(f"source: there is no converter '{name}'.{suggest(name, CONVERTERS)}")
    return CONVERTERS[name](source, shapes)
