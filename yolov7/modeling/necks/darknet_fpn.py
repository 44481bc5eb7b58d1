"""The feature pyramid of YOLOv3 (arXiv:1804.02767, section 2.3), with or without pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    find_activation,
    five_convs,
    yolo_batch_norm,
)
from yolov7.modeling.necks.features import check_doubling, pyramid_shape, select_by_stride
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.modeling.scaling import scaled_width


@NECK_REGISTRY.register()
class DarknetFPN(nn.Module):
    """Five convolutions a level, joined from top to bottom; there is no way back up.

    A level's block alternates 1×1 convolutions to its width with 3×3 convolutions to twice that.
    With `spp` the middle one of the coarsest level is spatial pyramid pooling, as in YOLOv3-SPP
    and in YOLOX-darknet53 (whose authors count that level's block to the backbone). Levels are
    numbered from fine to coarse; strides double from one to the next.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        out_channels: Sequence[int],
        spp: bool = False,
        activation: ModuleFactory = ACTIVATIONS["leaky_relu"],
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            out_channels: width of each level.
            spp: pool over several windows in the coarsest level.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="DarknetFPN", at_least=1)
        self._input_names = select_by_stride(input_shape, in_strides)
        self._output_shape = pyramid_shape(in_strides, out_channels)
        parts = {"norm": norm, "activation": activation}
        # Entry i of `reduce_convs` leads from level i + 1 down to level i.
        self.reduce_convs = nn.ModuleList()
        self.blocks = nn.ModuleList()
        top = len(in_strides) - 1
        for level, (name, width) in enumerate(zip(self._input_names, out_channels, strict=True)):
            before = input_shape[name].channels
            if level < top:
                self.reduce_convs.append(ConvNormAct(out_channels[level + 1], width, 1, **parts))
                before += width
            self.blocks.append(five_convs(before, width, spp=spp and level == top, **parts))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Width from `MODEL.YOLO`, pooling from `MODEL.NECK`, layers from `MODEL.DARKNET`."""
        strides = sorted(cfg.MODEL.NECK.IN_STRIDES)
        return {
            "input_shape": input_shape,
            "in_strides": strides,
            "out_channels": [scaled_width(cfg, 16 * stride) for stride in strides],
            "spp": cfg.MODEL.NECK.SPP,
            "activation": find_activation(
                cfg.MODEL.DARKNET.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"
            ),
            "norm": batch_norm_of(cfg.MODEL.DARKNET.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = [features[name] for name in self._input_names]
        outputs = [self.blocks[-1](maps[-1])]
        for level in reversed(range(len(maps) - 1)):
            reduced = self.reduce_convs[level](outputs[0])
            upsampled = F.interpolate(reduced, scale_factor=2.0, mode="nearest")
            joined = torch.cat([upsampled, maps[level]], dim=1)
            outputs.insert(0, self.blocks[level](joined))
        return dict(zip(self._output_shape, outputs, strict=True))
