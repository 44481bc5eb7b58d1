"""Path-aggregation pyramid of CSP blocks, the neck of YOLOX nano to x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ConvNormAct,
    CSPBlock,
    DepthwiseSeparableConv,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.necks.features import check_doubling, pyramid_shape, select_by_stride
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.modeling.scaling import scaled_depth, scaled_width


@NECK_REGISTRY.register()
class CSPPAFPN(nn.Module):
    """Top-down, then bottom-up, with a CSP block after each concatenation (arXiv:1803.01534).

    The bottom-up path joins the *reduced* maps of the top-down path, as YOLOX does, not its
    outputs. Levels are numbered from fine to coarse; strides double from one to the next.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        out_channels: Sequence[int],
        num_blocks: int,
        depthwise: bool = False,
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            out_channels: width of each level.
            num_blocks: bottlenecks of each CSP block.
            depthwise: 3×3 convolutions as depthwise and pointwise ones.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="CSPPAFPN", at_least=2)
        self._input_names = select_by_stride(input_shape, in_strides)
        self._output_shape = pyramid_shape(in_strides, out_channels)
        in_channels = [input_shape[name].channels for name in self._input_names]
        parts = {"norm": norm, "activation": activation}
        conv = DepthwiseSeparableConv if depthwise else ConvNormAct

        def block(before: int, after: int) -> CSPBlock:
            return CSPBlock(
                before, after, num_blocks=num_blocks, shortcut=False, spatial_conv=conv, **parts
            )

        # Entry i of each list joins level i with level i + 1.
        self.reduce_convs = nn.ModuleList()
        self.top_down_blocks = nn.ModuleList()
        self.downsample_convs = nn.ModuleList()
        self.bottom_up_blocks = nn.ModuleList()
        top = len(in_strides) - 1
        for level in range(top):
            fine, coarse = out_channels[level], out_channels[level + 1]
            from_above = in_channels[top] if level + 1 == top else coarse
            self.reduce_convs.append(ConvNormAct(from_above, fine, 1, **parts))
            self.top_down_blocks.append(block(fine + in_channels[level], fine))
            self.downsample_convs.append(conv(fine, fine, 3, stride=2, **parts))
            self.bottom_up_blocks.append(block(2 * fine, coarse))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Width and depth from `MODEL.YOLO`, kinds of layers from `MODEL.DARKNET`."""
        strides = sorted(cfg.MODEL.NECK.IN_STRIDES)
        stem_channels = scaled_width(cfg, 64)
        return {
            "input_shape": input_shape,
            "in_strides": strides,
            "out_channels": [stem_channels * stride // 2 for stride in strides],
            "num_blocks": scaled_depth(cfg, 3),
            "depthwise": cfg.MODEL.DARKNET.DEPTH_WISE,
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
        top = len(maps) - 1
        reduced: list[Tensor] = [maps[top]] * top
        x = maps[top]
        for level in reversed(range(top)):
            reduced[level] = self.reduce_convs[level](x)
            upsampled = F.interpolate(reduced[level], scale_factor=2.0, mode="nearest")
            x = self.top_down_blocks[level](torch.cat([upsampled, maps[level]], dim=1))
        outputs = [x]
        for level in range(top):
            downsampled = self.downsample_convs[level](outputs[-1])
            joined = torch.cat([downsampled, reduced[level]], dim=1)
            outputs.append(self.bottom_up_blocks[level](joined))
        return dict(zip(self._output_shape, outputs, strict=True))
