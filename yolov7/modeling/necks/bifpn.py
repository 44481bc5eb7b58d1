"""The bidirectional feature pyramid of EfficientDet (arXiv:1911.09070, sections 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ConvNormAct,
    DepthwiseSeparableConv,
    ModuleFactory,
    NormFactory,
    WeightedSum,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.necks.features import (
    check_doubling,
    enlarge_to,
    pyramid_shape,
    select_by_stride,
)
from yolov7.modeling.necks.top_blocks import TOP_BLOCKS, NoTopBlock, TopBlockFactory
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up


class FusionNode(nn.Module):
    """A weighted sum of maps, then a depthwise and a pointwise convolution."""

    def __init__(
        self, num_maps: int, channels: int, *, activation: ModuleFactory, norm: NormFactory
    ) -> None:
        super().__init__()
        self.fuse = WeightedSum(num_maps)
        self.conv = DepthwiseSeparableConv(channels, channels, 3, norm=norm, activation=activation)

    def forward(self, *maps: Tensor) -> Tensor:
        return self.conv(self.fuse(*maps))


class BiFPNLayer(nn.Module):
    """Once down and once up; levels between the ends see their input a second time on the way up.

    Maps a list of tensors (B, channels, H, W), finest first, to a list of the same shapes.
    """

    def __init__(
        self, num_levels: int, channels: int, *, activation: ModuleFactory, norm: NormFactory
    ) -> None:
        """
        Args:
            num_levels: at least 2.
            channels: width of all maps.
            activation, norm: make these layers.
        """
        super().__init__()
        parts = {"activation": activation, "norm": norm}
        # Entry i of `down` makes level i, entry i of `up` level i + 1.
        self.down = nn.ModuleList(FusionNode(2, channels, **parts) for _ in range(num_levels - 1))
        self.up = nn.ModuleList(
            FusionNode(3 if level < num_levels - 1 else 2, channels, **parts)
            for level in range(1, num_levels)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        *finer, coarsest = maps
        path = [coarsest]
        for node, x in zip(reversed(self.down), reversed(finer), strict=True):
            path.insert(0, node(x, enlarge_to(path[0], x)))
        outputs = [path[0]]
        # The coarsest map is both input and end of the way down, and is counted once.
        inner = [(x, on_path) for x, on_path in zip(finer[1:], path[1:-1], strict=True)]
        for node, inputs in zip(self.up, [*inner, (coarsest,)], strict=True):
            halved = F.max_pool2d(outputs[-1], kernel_size=3, stride=2, padding=1)
            outputs.append(node(*inputs, halved))
        return outputs


@NECK_REGISTRY.register()
class BiFPN(nn.Module):
    """Narrow each map, then go down and up several times, with learned weights in every sum.

    Both ways enlarge by repeating cells and halve by a 3×3 maximum. Batch norm and activation
    follow each convolution, as the paper says; weights of its authors' program do not fit.
    Levels are numbered from fine to coarse; strides double, all maps have the same width.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        channels: int,
        num_repeats: int,
        top_block: TopBlockFactory = NoTopBlock,
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            channels: width of every level.
            num_repeats: how often the maps go down and up.
            top_block: makes what adds coarser levels before that; EfficientDet's is
                `PooledTopBlock`.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="BiFPN", at_least=2)
        self._input_names = select_by_stride(input_shape, in_strides)
        self.lateral_convs = nn.ModuleList(
            ConvNormAct(input_shape[name].channels, channels, 1, norm=norm, activation=nn.Identity)
            for name in self._input_names
        )
        self.top_block = top_block(channels)
        extra = [in_strides[-1] << step for step in range(1, self.top_block.num_levels + 1)]
        strides = [*in_strides, *extra]
        self.layers = nn.Sequential(
            *(
                BiFPNLayer(len(strides), channels, activation=activation, norm=norm)
                for _ in range(num_repeats)
            )
        )
        self._output_shape = pyramid_shape(strides, [channels] * len(strides))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Strides, width and top block from `MODEL.NECK`, the rest from `MODEL.BIFPN`."""
        neck, bifpn = cfg.MODEL.NECK, cfg.MODEL.BIFPN
        expect(neck.CHANNELS >= 1, "MODEL.NECK.CHANNELS", "at least 1", neck.CHANNELS)
        expect(bifpn.REPEATS >= 1, "MODEL.BIFPN.REPEATS", "at least 1", bifpn.REPEATS)
        return {
            "input_shape": input_shape,
            "in_strides": sorted(neck.IN_STRIDES),
            "channels": neck.CHANNELS,
            "num_repeats": bifpn.REPEATS,
            "top_block": look_up(TOP_BLOCKS, neck.TOP_BLOCK, "MODEL.NECK.TOP_BLOCK"),
            "activation": find_activation(bifpn.ACTIVATION, key="MODEL.BIFPN.ACTIVATION"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = [
            conv(features[name])
            for conv, name in zip(self.lateral_convs, self._input_names, strict=True)
        ]
        maps += self.top_block(maps[-1])
        return dict(zip(self._output_shape, self.layers(maps), strict=True))
