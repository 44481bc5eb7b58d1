"""Building blocks of networks. They take types and numbers, never strings or configs."""

from yolov7.layers.activation import ACTIVATIONS, ModuleFactory, find_activation
from yolov7.layers.conv import (
    ConvFactory,
    ConvNormAct,
    DepthwiseSeparableConv,
    fuse_conv_batch_norm,
)
from yolov7.layers.csp import Bottleneck, CSPBlock
from yolov7.layers.norm import NormFactory, yolo_batch_norm
from yolov7.layers.spp import SPP
from yolov7.layers.stem import FocusStem, space_to_depth

__all__ = [
    "ACTIVATIONS",
    "SPP",
    "Bottleneck",
    "CSPBlock",
    "ConvFactory",
    "ConvNormAct",
    "DepthwiseSeparableConv",
    "FocusStem",
    "ModuleFactory",
    "NormFactory",
    "find_activation",
    "fuse_conv_batch_norm",
    "space_to_depth",
    "yolo_batch_norm",
]
