"""CSPDarknet-53, the backbone of YOLOv4 (arXiv:2004.10934, section 3.4) and of YOLOF."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    Bottleneck,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    darknet_batch_norm,
    find_activation,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.modeling.scaling import scaled_depth, scaled_width


@BACKBONE_REGISTRY.register()
class CSPDarknet53(StagedBackbone):
    """Darknet-53 whose residual blocks work on one of two branches of each stage.

    Maps images (B, C, H, W), H and W multiples of `size_divisibility`, to the asked ones of
    `dark1` to `dark5` with strides 2 to 32 (the last one 16 if it is dilated) and 2 to 32 times the
    stem's channels. Stages deeper than the last one asked for are not built.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stem_channels: int = 32,
        stage_blocks: Sequence[int] = (1, 2, 8, 8, 4),
        out_features: Sequence[str] = ("dark3", "dark4", "dark5"),
        dilated_c5: bool = False,
        activation: ModuleFactory = ACTIVATIONS["mish"],
        norm: NormFactory = darknet_batch_norm,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the images.
            stem_channels: width of the first convolution; each stage has twice the width of the
                one before.
            stage_blocks: residual blocks of each of the five stages.
            out_features: names of the maps to return.
            dilated_c5: the last stage has no stride, and all its 3×3 convolutions have dilation 2.
            activation, norm: make these layers.
            freeze_at: see `StagedBackbone.freeze_at`.

        Raises:
            ConfigError: `out_features` has a name that is no stage, or what is to be frozen is
                none.
        """
        strides = stage_strides(dilated_c5)
        widths = {name: stem_channels * 2**level for level, name in enumerate(strides, start=1)}
        super().__init__(stage_strides=strides, stage_channels=widths, out_features=out_features)
        parts = {"norm": norm, "activation": activation}
        self.stem = ConvNormAct(in_channels, stem_channels, 3, **parts)
        before = stem_channels
        for name, num_blocks in zip(self.stage_names, stage_blocks, strict=False):
            is_dilated = dilated_c5 and name == "dark5"
            stage = CrossStage(
                before,
                widths[name],
                # The first stage is too narrow to be halved.
                branch_channels=widths[name] if name == "dark1" else before,
                num_blocks=num_blocks,
                stride=1 if is_dilated else 2,
                dilation=2 if is_dilated else 1,
                **parts,
            )
            self.add_module(name, stage)
            before = widths[name]
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Kinds of layers from `MODEL.DARKNET`, width and depth multiplied by `MODEL.YOLO`'s."""
        darknet = cfg.MODEL.DARKNET
        return {
            "in_channels": input_shape.channels,
            "stem_channels": scaled_width(cfg, 32),
            "stage_blocks": [scaled_depth(cfg, blocks) for blocks in (1, 2, 8, 8, 4)],
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES,
                stage_strides(darknet.DILATED_C5),
                backbone="CSPDarknet53",
            ),
            "dilated_c5": darknet.DILATED_C5,
            "activation": find_activation(darknet.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"),
            "norm": batch_norm_of(darknet.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }


def stage_strides(dilated_c5: bool) -> dict[str, int]:
    """{name: stride} of the five stages."""
    return {"dark1": 2, "dark2": 4, "dark3": 8, "dark4": 16, "dark5": 16 if dilated_c5 else 32}


class CrossStage(nn.Module):
    """A strided convolution, two 1×1 branches, residual blocks on one of them, a 1×1 that joins.

    Maps (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride). Unlike `CSPBlock`, the
    branch of the blocks ends with a 1×1 convolution of its own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        branch_channels: int,
        num_blocks: int,
        stride: int,
        dilation: int,
        norm: NormFactory,
        activation: ModuleFactory,
    ) -> None:
        """
        Args:
            in_channels, out_channels: widths before and after it.
            branch_channels: width of each branch; residual blocks squeeze it to `in_channels`.
            num_blocks: number of residual blocks.
            stride: of the first convolution.
            dilation: of all 3×3 convolutions.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        conv = partial(ConvNormAct, dilation=dilation)
        self.down = conv(in_channels, out_channels, 3, stride=stride, **parts)
        self.shallow = ConvNormAct(out_channels, branch_channels, 1, **parts)
        self.deep = ConvNormAct(out_channels, branch_channels, 1, **parts)
        self.blocks = nn.Sequential(
            *(
                Bottleneck(
                    branch_channels,
                    hidden_channels=in_channels,
                    shortcut=True,
                    spatial_conv=conv,
                    **parts,
                )
                for _ in range(num_blocks)
            )
        )
        self.after = ConvNormAct(branch_channels, branch_channels, 1, **parts)
        self.mix = ConvNormAct(2 * branch_channels, out_channels, 1, **parts)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        deep = self.after(self.blocks(self.deep(x)))
        return self.mix(torch.cat([deep, self.shallow(x)], dim=1))
