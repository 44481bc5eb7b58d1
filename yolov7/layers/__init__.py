"""Building blocks of networks. They take types and numbers, never strings or configs."""

from yolov7.layers.activation import ACTIVATIONS, ModuleFactory, find_activation
from yolov7.layers.attention import MultiHeadAttention
from yolov7.layers.batch_norm_folding import fold_batch_norms
from yolov7.layers.conv import (
    ConvFactory,
    ConvNormAct,
    DepthwiseSeparableConv,
    fuse_conv_batch_norm,
)
from yolov7.layers.csp import Bottleneck, CSPBlock
from yolov7.layers.csp_spp import SPPCSPC, TinySPPCSPC
from yolov7.layers.deform_conv import DeformConv2d, deform_conv_flops
from yolov7.layers.drop_block import DropBlock
from yolov7.layers.elan import EELAN, ELAN, elan_block
from yolov7.layers.five_convs import five_convs
from yolov7.layers.frozen_batch_norm import FrozenBatchNorm2d, freeze_batch_norms
from yolov7.layers.implicit import ImplicitA, ImplicitConv, ImplicitM
from yolov7.layers.mlp import MLP
from yolov7.layers.norm import (
    NORMS,
    NormFactory,
    batch_norm_of,
    darknet_batch_norm,
    yolo_batch_norm,
)
from yolov7.layers.packed_conv import PackedConv, pack_convolutions
from yolov7.layers.position_encoding import (
    POSITION_ENCODINGS,
    LearnedPositionEncoding,
    PositionEncodingFactory,
    SinePositionEncoding,
)
from yolov7.layers.rep_conv import RepConv
from yolov7.layers.row_column_attention import RowColumnAttention
from yolov7.layers.spp import SPP
from yolov7.layers.stem import ConvStem, FocusStem, space_to_depth
from yolov7.layers.transition import TRANSITIONS, PoolConvTransition, TransitionFactory
from yolov7.layers.weighted_sum import WeightedSum

__all__ = [
    "ACTIVATIONS",
    "EELAN",
    "ELAN",
    "MLP",
    "NORMS",
    "POSITION_ENCODINGS",
    "SPP",
    "SPPCSPC",
    "TRANSITIONS",
    "Bottleneck",
    "CSPBlock",
    "ConvFactory",
    "ConvNormAct",
    "ConvStem",
    "DeformConv2d",
    "DepthwiseSeparableConv",
    "DropBlock",
    "FocusStem",
    "FrozenBatchNorm2d",
    "ImplicitA",
    "ImplicitConv",
    "ImplicitM",
    "LearnedPositionEncoding",
    "ModuleFactory",
    "MultiHeadAttention",
    "NormFactory",
    "PackedConv",
    "PoolConvTransition",
    "PositionEncodingFactory",
    "RepConv",
    "RowColumnAttention",
    "SinePositionEncoding",
    "TinySPPCSPC",
    "TransitionFactory",
    "WeightedSum",
    "batch_norm_of",
    "darknet_batch_norm",
    "deform_conv_flops",
    "elan_block",
    "find_activation",
    "five_convs",
    "fold_batch_norms",
    "freeze_batch_norms",
    "fuse_conv_batch_norm",
    "pack_convolutions",
    "space_to_depth",
    "yolo_batch_norm",
]
