"""The neck of YOLOv4-tiny (Wang et al., arXiv:2011.08036, section 4.1)."""

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
    batch_norm_of,
    darknet_batch_norm,
    find_activation,
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
class TinyFPN(nn.Module):
    """One 1×1 convolution a level: what it makes of the coarser level stands beside the own map.

    Levels are numbered from fine to coarse; strides double from one to the next. All but the
    coarsest are concatenations, the coarser level's part first, and nothing mixes them here: the
    head's first convolution does.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        channels: Sequence[int],
        activation: ModuleFactory = ACTIVATIONS["leaky_relu"],
        norm: NormFactory = darknet_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            channels: width of each level's convolution.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="TinyFPN", at_least=1)
        self._input_names = select_by_stride(input_shape, in_strides)
        own = [input_shape[name].channels for name in self._input_names]
        widths = [before + width for before, width in zip(own[:-1], channels[:-1], strict=True)]
        widths.append(channels[-1])
        self._output_shape = pyramid_shape(in_strides, widths)
        # Entry i makes level i's part, of level i + 1 or, in the coarsest, of the backbone's map.
        self.convs = nn.ModuleList(
            ConvNormAct(before, width, 1, norm=norm, activation=activation)
            for before, width in zip([*widths[1:], own[-1]], channels, strict=True)
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Width multiplied by `MODEL.YOLO.WIDTH_MUL`, kinds of layers from `MODEL.DARKNET`."""
        strides = sorted(cfg.MODEL.NECK.IN_STRIDES)
        darknet = cfg.MODEL.DARKNET
        return {
            "input_shape": input_shape,
            "in_strides": strides,
            "channels": [scaled_width(cfg, 8 * stride) for stride in strides],
            "activation": find_activation(darknet.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"),
            "norm": batch_norm_of(darknet.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        *finer, coarsest = (features[name] for name in self._input_names)
        outputs = [self.convs[-1](coarsest)]
        for level in reversed(range(len(finer))):
            enlarged = enlarge_to(self.convs[level](outputs[0]), finer[level])
            outputs.insert(0, torch.cat([enlarged, finer[level]], dim=1))
        return dict(zip(self._output_shape, outputs, strict=True))
