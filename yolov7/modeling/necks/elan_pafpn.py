"""The neck of YOLOv7: path aggregation with ELAN blocks (arXiv:2207.02696)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    EELAN,
    ELAN,
    SPPCSPC,
    TRANSITIONS,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    TinySPPCSPC,
    TransitionFactory,
    elan_block,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.necks.features import check_doubling, pyramid_name, select_by_stride, tap_name
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.modeling.scaling import elan_depth, scaled_width
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect, expect_widths
from yolov7.utils.names import look_up

POOLINGS: Mapping[str, Callable[..., nn.Module]] = {
    "sppcspc": SPPCSPC,
    "tiny_sppcspc": TinySPPCSPC,
}
"""Poolings of the coarsest map by the name that a config gives them."""


class TopDownStep(nn.Module):
    """Joins a finer map of the backbone with the enlarged coarser map of the neck."""

    def __init__(
        self,
        coarse_channels: int,
        fine_channels: int,
        out_channels: int,
        *,
        block: Callable[[int, int], ELAN | EELAN],
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            coarse_channels: of the neck's map, half as large.
            fine_channels: of the backbone's map.
            out_channels: of the result.
            block: makes the block that follows, from widths before and after it.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        self.reduce = ConvNormAct(coarse_channels, out_channels, 1, **parts)
        self.lateral = ConvNormAct(fine_channels, out_channels, 1, **parts)
        self.block = block(2 * out_channels, out_channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """The joined map and its tap for deep supervision."""
        upsampled = F.interpolate(self.reduce(coarse), scale_factor=2.0, mode="nearest")
        return self.block.forward_with_tap(torch.cat([self.lateral(fine), upsampled], dim=1))


class BottomUpStep(nn.Module):
    """Joins the halved finer output with the top-down path's map of the same size."""

    def __init__(self, transition: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.transition = transition
        self.block = block

    def forward(self, fine: Tensor, skip: Tensor) -> Tensor:
        return self.block(torch.cat([self.transition(fine), skip], dim=1))


@NECK_REGISTRY.register()
class ELANPAFPN(nn.Module):
    """Pools the coarsest map, goes down to the finest one and up again, an ELAN block at each step.

    Besides the pyramid `p3, p4 …` it returns the top-down path's maps as `aux3, aux4 …`, from
    which an auxiliary head learns (deep supervision, section 4.2); see `auxiliary_shape`. Steps are
    kept in the order in which they run. Strides double from one level to the next.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        out_channels: Sequence[int],
        hidden_channels: Sequence[int],
        conv_ratio: float = 0.5,
        num_convs: int = 4,
        pick_every: int = 1,
        num_branches: int = 1,
        pooling: Callable[..., nn.Module] = SPPCSPC,
        transition: TransitionFactory = TRANSITIONS["mp"],
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to take, ascending.
            out_channels: width of each level.
            hidden_channels: width inside the blocks of each level.
            conv_ratio: width of the blocks' 3×3 convolutions relative to that.
            num_convs, pick_every: of the blocks, see `ELAN`.
            num_branches: 1 for ELAN, more for E-ELAN.
            pooling, transition: make these layers from widths before and after them.
            activation, norm: make these layers.

        Raises:
            ConfigError: the backbone lacks a stride, the strides do not double, there is not one
                width for each level, or the transition cannot change the width.
        """
        super().__init__()
        check_doubling(in_strides, neck="ELANPAFPN", at_least=2)
        if not len(in_strides) == len(out_channels) == len(hidden_channels):
            raise ConfigError(
                "MODEL.ELAN_PAFPN: CHANNELS and HIDDEN_CHANNELS want one entry for each of "
                f"MODEL.NECK.IN_STRIDES {list(in_strides)}, got {list(out_channels)} and "
                f"{list(hidden_channels)}"
            )
        conv_channels = [int(width * conv_ratio) for width in hidden_channels]
        expect(
            min(conv_channels) >= 1,
            "MODEL.ELAN_PAFPN.CONV_RATIO",
            f"a part that leaves channels of HIDDEN_CHANNELS {list(hidden_channels)}",
            conv_ratio,
        )
        self._input_names = select_by_stride(input_shape, in_strides)
        shapes = [
            ShapeSpec(channels=channels, stride=stride)
            for stride, channels in zip(in_strides, out_channels, strict=True)
        ]
        self._output_shape = {pyramid_name(shape.stride): shape for shape in shapes}
        self._auxiliary_shape = {tap_name(shape.stride): shape for shape in shapes}
        parts = {"norm": norm, "activation": activation}

        def block_of(level: int) -> Callable[[int, int], ELAN | EELAN]:
            return lambda before, after: elan_block(
                before,
                after,
                hidden_channels=hidden_channels[level],
                conv_channels=conv_channels[level],
                num_convs=num_convs,
                pick_every=pick_every,
                num_branches=num_branches,
                **parts,
            )

        in_channels = [input_shape[name].channels for name in self._input_names]
        levels = range(len(in_strides))
        self.pooling = pooling(in_channels[-1], out_channels[-1], **parts)
        self.top_down = nn.ModuleList(
            TopDownStep(
                out_channels[level + 1],
                in_channels[level],
                out_channels[level],
                block=block_of(level),
                **parts,
            )
            for level in reversed(levels[:-1])
        )
        self.bottom_up = nn.ModuleList()
        for level in levels[1:]:
            fine, coarse = out_channels[level - 1], out_channels[level]
            try:
                halving = transition(fine, coarse, **parts)
            except ValueError as error:
                raise ConfigError(f"MODEL.ELAN_PAFPN.TRANSITION: {error}") from error
            self.bottom_up.append(BottomUpStep(halving, block_of(level)(2 * coarse, coarse)))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Layers from `MODEL.ELAN_PAFPN` and `MODEL.ELAN`, multipliers from `MODEL.YOLO`."""
        elan, neck = cfg.MODEL.ELAN, cfg.MODEL.ELAN_PAFPN
        expect(neck.PICK_EVERY >= 1, "MODEL.ELAN_PAFPN.PICK_EVERY", "at least 1", neck.PICK_EVERY)
        widths = expect_widths(neck.CHANNELS, "MODEL.ELAN_PAFPN.CHANNELS")
        return {
            "input_shape": input_shape,
            "in_strides": sorted(cfg.MODEL.NECK.IN_STRIDES),
            "out_channels": [scaled_width(cfg, width) for width in widths],
            "hidden_channels": expect_widths(
                neck.HIDDEN_CHANNELS, "MODEL.ELAN_PAFPN.HIDDEN_CHANNELS"
            ),
            "conv_ratio": neck.CONV_RATIO,
            **elan_depth(cfg),
            "pick_every": neck.PICK_EVERY,
            "pooling": look_up(POOLINGS, neck.POOLING, "MODEL.ELAN_PAFPN.POOLING"),
            "transition": look_up(TRANSITIONS, neck.TRANSITION, "MODEL.ELAN_PAFPN.TRANSITION"),
            "activation": find_activation(elan.ACTIVATION, key="MODEL.ELAN.ACTIVATION"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map of the pyramid."""
        return dict(self._output_shape)

    def auxiliary_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each tap for deep supervision."""
        return dict(self._auxiliary_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        *finer, coarsest = (features[name] for name in self._input_names)
        x = self.pooling(coarsest)
        path, taps = [x], [x]
        for step, fine in zip(self.top_down, reversed(finer), strict=True):
            x, tap = step(x, fine)
            path.append(x)
            taps.append(tap)
        outputs = [path.pop()]
        for step, skip in zip(self.bottom_up, reversed(path), strict=True):
            outputs.append(step(outputs[-1], skip))
        pyramid = zip(self._output_shape, outputs, strict=True)
        return dict(pyramid) | dict(zip(self._auxiliary_shape, reversed(taps), strict=True))
