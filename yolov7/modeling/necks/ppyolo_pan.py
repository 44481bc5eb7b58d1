"""The neck of PP-YOLOv2 (arXiv:2104.10419, section 2): path aggregation with CSP blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    SPP,
    Bottleneck,
    ConvNormAct,
    CSPBlock,
    DropBlock,
    ModuleFactory,
    NormFactory,
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
from yolov7.utils.expectations import expect


class DetectionBlock(CSPBlock):
    """A CSP block of three bottlenecks, with DropBlock before the last one.

    Maps (B, in_channels, H, W) to (B, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spp: bool,
        drop_block: ModuleFactory,
        activation: ModuleFactory,
        norm: NormFactory,
    ) -> None:
        """
        Args:
            in_channels, out_channels: `out_channels` is even.
            spp: pool over several windows where the second bottleneck has its 3×3 convolution.
            drop_block, activation, norm: make these layers.
        """
        parts = {"activation": activation, "norm": norm}
        super().__init__(in_channels, out_channels, num_blocks=0, shortcut=False, **parts)
        hidden = out_channels // 2

        def bottleneck() -> Bottleneck:
            return Bottleneck(hidden, shortcut=False, **parts)

        second = SPP(hidden, hidden, hidden_channels=hidden, **parts) if spp else bottleneck()
        self.blocks = nn.Sequential(bottleneck(), second, drop_block(), bottleneck())


@NECK_REGISTRY.register()
class PPYOLOPAN(nn.Module):
    """Top-down, then bottom-up, with a `DetectionBlock` on each level of each way.

    The block on the coarsest map pools over several windows. Levels are numbered from fine to
    coarse; strides double from one to the next. What comes from another level is joined before
    the level's own map.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        out_channels: Sequence[int],
        drop_share: float = 0.1,
        drop_size: int = 3,
        activation: ModuleFactory = ACTIVATIONS["mish"],
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            out_channels: width of each level, even.
            drop_share, drop_size: `DropBlock`'s share of cells and side of squares.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, or the strides do not double.
        """
        super().__init__()
        check_doubling(in_strides, neck="PPYOLOPAN", at_least=2)
        self._input_names = select_by_stride(input_shape, in_strides)
        self._output_shape = pyramid_shape(in_strides, out_channels)
        *finer, coarsest = (input_shape[name].channels for name in self._input_names)
        parts = {"norm": norm, "activation": activation}

        def block(before: int, after: int, *, spp: bool = False) -> DetectionBlock:
            return DetectionBlock(
                before,
                after,
                spp=spp,
                drop_block=lambda: DropBlock(share=drop_share, block_size=drop_size),
                **parts,
            )

        self.pooling_block = block(coarsest, out_channels[-1], spp=True)
        # Entry i of each list joins level i with level i + 1.
        self.reduce_convs = nn.ModuleList()
        self.top_down_blocks = nn.ModuleList()
        self.downsample_convs = nn.ModuleList()
        self.bottom_up_blocks = nn.ModuleList()
        for before, fine, coarse in zip(finer, out_channels[:-1], out_channels[1:], strict=True):
            reduced = coarse // 2
            self.reduce_convs.append(ConvNormAct(coarse, reduced, 1, **parts))
            self.top_down_blocks.append(block(reduced + before, fine))
            self.downsample_convs.append(ConvNormAct(fine, fine, 3, stride=2, **parts))
            self.bottom_up_blocks.append(block(fine + coarse, coarse))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Strides from `MODEL.NECK`, width from `MODEL.YOLO`, the rest from `MODEL.PPYOLO_PAN`."""
        strides, pan = sorted(cfg.MODEL.NECK.IN_STRIDES), cfg.MODEL.PPYOLO_PAN
        share, size, key = pan.DROP_SHARE, pan.DROP_SIZE, "MODEL.PPYOLO_PAN"
        expect(0 <= share < 1, f"{key}.DROP_SHARE", "a share in [0, 1)", share)
        expect(size >= 1, f"{key}.DROP_SIZE", "at least 1", size)
        return {
            "input_shape": input_shape,
            "in_strides": strides,
            "out_channels": [2 * scaled_width(cfg, 16 * stride) for stride in strides],
            "drop_share": share,
            "drop_size": size,
            "activation": find_activation(pan.ACTIVATION, key="MODEL.PPYOLO_PAN.ACTIVATION"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        *finer, coarsest = (features[name] for name in self._input_names)
        # The way down, finest level first once it is complete.
        path = [self.pooling_block(coarsest)]
        for level in reversed(range(len(finer))):
            reduced = enlarge_to(self.reduce_convs[level](path[0]), finer[level])
            joined = torch.cat([reduced, finer[level]], dim=1)
            path.insert(0, self.top_down_blocks[level](joined))
        outputs = path[:1]
        for level, skip in enumerate(path[1:]):
            halved = self.downsample_convs[level](outputs[-1])
            outputs.append(self.bottom_up_blocks[level](torch.cat([halved, skip], dim=1)))
        return dict(zip(self._output_shape, outputs, strict=True))
