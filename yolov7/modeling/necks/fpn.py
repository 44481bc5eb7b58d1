"""The feature pyramid network (Lin et al., arXiv:1612.03144) as detectron2 builds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import NORMS, NormFactory
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


@NECK_REGISTRY.register()
class FPN(nn.Module):
    """Narrow each map, add the enlarged coarser sum to it, and smooth the sums.

    Nothing but sums: there are no activations. A top block adds coarser levels. Levels are numbered
    from fine to coarse; strides double from one to the next, all maps have the same width.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        channels: int,
        norm: NormFactory = nn.Identity,
        top_block: TopBlockFactory = NoTopBlock,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            channels: width of every level.
            norm: makes the normalisation behind each convolution; without one they have biases.
            top_block: makes what adds coarser levels to the pyramid.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="FPN", at_least=1)
        self._input_names = select_by_stride(input_shape, in_strides)
        self.lateral_convs = nn.ModuleList(
            _conv(input_shape[name].channels, channels, 1, norm=norm) for name in self._input_names
        )
        self.output_convs = nn.ModuleList(
            _conv(channels, channels, 3, norm=norm) for _ in self._input_names
        )
        self.top_block = top_block(channels)
        coarsest = in_strides[-1]
        extra = [coarsest << step for step in range(1, self.top_block.num_levels + 1)]
        strides = [*in_strides, *extra]
        self._output_shape = pyramid_shape(strides, [channels] * len(strides))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Strides, width, norm and top block from `MODEL.NECK`."""
        neck = cfg.MODEL.NECK
        expect(neck.CHANNELS >= 1, "MODEL.NECK.CHANNELS", "at least 1", neck.CHANNELS)
        return {
            "input_shape": input_shape,
            "in_strides": sorted(neck.IN_STRIDES),
            "channels": neck.CHANNELS,
            "norm": look_up(NORMS, neck.NORM, "MODEL.NECK.NORM"),
            "top_block": look_up(TOP_BLOCKS, neck.TOP_BLOCK, "MODEL.NECK.TOP_BLOCK"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        laterals = [
            conv(features[name])
            for conv, name in zip(self.lateral_convs, self._input_names, strict=True)
        ]
        sums = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            sums.insert(0, lateral + enlarge_to(sums[0], lateral))
        outputs = [conv(x) for conv, x in zip(self.output_convs, sums, strict=True)]
        outputs += self.top_block(outputs[-1])
        return dict(zip(self._output_shape, outputs, strict=True))


def _conv(before: int, after: int, side: int, *, norm: NormFactory) -> nn.Sequential:
    has_bias = norm is nn.Identity
    conv = nn.Conv2d(before, after, side, padding=side // 2, bias=has_bias)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if has_bias:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, norm(after))
