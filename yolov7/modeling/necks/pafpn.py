"""The neck of YOLOv4: a path-aggregation pyramid (arXiv:2004.10934, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    darknet_batch_norm,
    find_activation,
    five_convs,
)
from yolov7.modeling.necks.features import (
    check_doubling,
    enlarge_to,
    pyramid_shape,
    select_by_stride,
)
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.modeling.scaling import scaled_width


@NECK_REGISTRY.register()
class PAFPN(nn.Module):
    """Top-down, then bottom-up, with five convolutions after each concatenation.

    Differs from YOLOX's `CSPPAFPN`: maps of the backbone are narrowed before they are joined, the
    coarsest one is pooled over several windows, and the way up joins the *outputs* of the way
    down. Levels are numbered from fine to coarse; strides double from one to the next. Maps are
    concatenated with the one of the level itself first on the way down, last on the way up.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        out_channels: Sequence[int],
        activation: ModuleFactory = ACTIVATIONS["leaky_relu"],
        norm: NormFactory = darknet_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            out_channels: width of each level.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="PAFPN", at_least=2)
        self._input_names = select_by_stride(input_shape, in_strides)
        self._output_shape = pyramid_shape(in_strides, out_channels)
        in_channels = [input_shape[name].channels for name in self._input_names]
        parts = {"norm": norm, "activation": activation}
        self.pooling = five_convs(in_channels[-1], out_channels[-1], spp=True, **parts)
        # Entry i of each list joins level i with level i + 1.
        self.reduce_convs = nn.ModuleList()
        self.lateral_convs = nn.ModuleList()
        self.top_down_blocks = nn.ModuleList()
        self.downsample_convs = nn.ModuleList()
        self.bottom_up_blocks = nn.ModuleList()
        for before, fine, coarse in zip(
            in_channels[:-1], out_channels[:-1], out_channels[1:], strict=True
        ):
            self.reduce_convs.append(ConvNormAct(coarse, fine, 1, **parts))
            self.lateral_convs.append(ConvNormAct(before, fine, 1, **parts))
            self.top_down_blocks.append(five_convs(2 * fine, fine, **parts))
            self.downsample_convs.append(ConvNormAct(fine, coarse, 3, stride=2, **parts))
            self.bottom_up_blocks.append(five_convs(2 * coarse, coarse, **parts))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Width from `MODEL.YOLO`, activation from `MODEL.PAFPN`."""
        strides = sorted(cfg.MODEL.NECK.IN_STRIDES)
        return {
            "input_shape": input_shape,
            "in_strides": strides,
            "out_channels": [scaled_width(cfg, 16 * stride) for stride in strides],
            "activation": find_activation(cfg.MODEL.PAFPN.ACTIVATION, key="MODEL.PAFPN.ACTIVATION"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        *finer, coarsest = (features[name] for name in self._input_names)
        # The way down, finest level first once it is complete.
        path = [self.pooling(coarsest)]
        for level in reversed(range(len(finer))):
            lateral = self.lateral_convs[level](finer[level])
            upsampled = enlarge_to(self.reduce_convs[level](path[0]), lateral)
            path.insert(0, self.top_down_blocks[level](torch.cat([lateral, upsampled], dim=1)))
        outputs = path[:1]
        for level, skip in enumerate(path[1:]):
            downsampled = self.downsample_convs[level](outputs[-1])
            outputs.append(self.bottom_up_blocks[level](torch.cat([downsampled, skip], dim=1)))
        return dict(zip(self._output_shape, outputs, strict=True))
