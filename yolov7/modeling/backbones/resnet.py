"""ResNet (He et al., arXiv:1512.03385) as detectron2 builds it, for weights that are trained so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ConvNormAct,
    FrozenBatchNorm2d,
    NormFactory,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up

logger = logging.getLogger(__name__)

STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks of the four stages, by the number of layers that the net is named after."""

NORMS: dict[str, NormFactory] = {"FrozenBN": FrozenBatchNorm2d, "BN": nn.BatchNorm2d}
"""The values of `MODEL.RESNETS.NORM`."""

_relu = partial(nn.ReLU, inplace=True)


def stage_strides(res5_dilation: int) -> dict[str, int]:
    """{name: stride} of the stages, shallow to deep; a dilated last one keeps the one before's.

    Raises:
        ConfigError: the dilation is neither 1 nor 2.
    """
    expect(res5_dilation in (1, 2), "MODEL.RESNETS.RES5_DILATION", "1 or 2", res5_dilation)
    return {"res2": 4, "res3": 8, "res4": 16, "res5": 32 // res5_dilation}


class ResidualBottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution, added to the input or to a 1×1 convolution of it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        stride: int,
        dilation: int,
        groups: int,
        stride_in_1x1: bool,
        norm: NormFactory,
    ) -> None:
        """
        Args:
            in_channels, out_channels: where they differ, the shortcut has a convolution.
            hidden_channels: width of the 3×3 convolution.
            stride: of the block.
            dilation, groups: of the 3×3 convolution.
            stride_in_1x1: the first convolution strides, not the 3×3 one.
            norm: makes the normalisation behind each convolution.
        """
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        relu, linear = (
            {"norm": norm, "activation": _relu},
            {"norm": norm, "activation": nn.Identity},
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = ConvNormAct(in_channels, out_channels, 1, stride=stride, **linear)
        self.conv1 = ConvNormAct(in_channels, hidden_channels, 1, stride=first, **relu)
        self.conv2 = ConvNormAct(
            hidden_channels,
            hidden_channels,
            3,
            stride=second,
            dilation=dilation,
            groups=groups,
            **relu,
        )
        self.conv3 = ConvNormAct(hidden_channels, out_channels, 1, **linear)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x)))
        return F.relu_(y + self.shortcut(x))


@BACKBONE_REGISTRY.register()
class ResNet(StagedBackbone):
    """A stem of stride 4 and four stages of bottlenecks.

    Maps images (B, C, H, W) of any size to the asked ones of `res2` to `res5`, whose sides are the
    image's divided by 4, 8, 16, 32 and rounded up. Stages deeper than the last one asked for are
    not built. A dilated `res5` (DC5) has stride 16 and looks as far as one of stride 32.

    It differs from timm's in where it strides: weights of MSRA, which YOLOF's and most of
    detectron2's models start from, have the stride in the first 1×1 convolution of a stage.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stage_blocks: Sequence[int] = STAGE_BLOCKS[50],
        stem_channels: int = 64,
        res2_channels: int = 256,
        groups: int = 1,
        width_per_group: int = 64,
        stride_in_1x1: bool = True,
        res5_dilation: int = 1,
        out_features: Sequence[str] = ("res3", "res4", "res5"),
        norm: NormFactory = FrozenBatchNorm2d,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: C.
            stage_blocks: blocks of each of the four stages.
            stem_channels: width of the first convolution.
            res2_channels: width of `res2`'s map; each stage has twice the width of the one before.
            groups, width_per_group: of `res2`'s 3×3 convolutions (ResNeXt: 64 groups, width 4).
            stride_in_1x1: see `ResidualBottleneck`; False for ResNeXt and torchvision's weights.
            res5_dilation: 1, or 2 for DC5: every 3×3 convolution of the last stage is dilated.
            out_features: names of the maps to return.
            norm: makes the normalisation.
            freeze_at: see `StagedBackbone.freeze_at`; 1 freezes the stem, 2 `res2` as well.

        Raises:
            ConfigError: a stage, dilation or place to freeze does not exist.
        """
        strides = stage_strides(res5_dilation)
        super().__init__(
            stage_strides=strides,
            stage_channels={name: res2_channels << level for level, name in enumerate(strides)},
            out_features=out_features,
        )
        first = ConvNormAct(in_channels, stem_channels, 7, stride=2, norm=norm, activation=_relu)
        self.stem = nn.Sequential(first, nn.MaxPool2d(3, stride=2, padding=1))
        before, stride_before = stem_channels, 4
        for level, name in enumerate(self.stage_names):
            channels = res2_channels << level
            blocks = [
                ResidualBottleneck(
                    before if block == 0 else channels,
                    channels,
                    hidden_channels=groups * width_per_group << level,
                    stride=strides[name] // stride_before if block == 0 else 1,
                    dilation=res5_dilation if name == "res5" else 1,
                    groups=groups,
                    stride_in_1x1=stride_in_1x1,
                    norm=norm,
                )
                for block in range(stage_blocks[level])
            ]
            self.add_module(name, nn.Sequential(*blocks))
            before, stride_before = channels, strides[name]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """What to build from detectron2's `MODEL.RESNETS` and `MODEL.BACKBONE.FREEZE_AT`.

        Raises:
            ConfigError: there is no such depth or norm, or deformable convolutions are asked for.
        """
        node = cfg.MODEL.RESNETS
        blocks = STAGE_BLOCKS.get(node.DEPTH)
        depths = ", ".join(map(str, STAGE_BLOCKS))
        expect(blocks is not None, "MODEL.RESNETS.DEPTH", f"one of {depths}", node.DEPTH)
        deformable = node.DEFORM_ON_PER_STAGE
        key = "MODEL.RESNETS.DEFORM_ON_PER_STAGE"
        expect(not any(deformable), key, "False everywhere: ResNet has none", deformable)
        return {
            "in_channels": input_shape.channels,
            "stage_blocks": blocks,
            "stem_channels": node.STEM_OUT_CHANNELS,
            "res2_channels": node.RES2_OUT_CHANNELS,
            "groups": node.NUM_GROUPS,
            "width_per_group": node.WIDTH_PER_GROUP,
            "stride_in_1x1": node.STRIDE_IN_1X1,
            "res5_dilation": node.RES5_DILATION,
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES, stage_strides(node.RES5_DILATION), backbone="ResNet"
            ),
            "norm": look_up(NORMS, node.NORM, "MODEL.RESNETS.NORM"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }

    def initialize_weights(self) -> None:
        """Say what makes no sense with random weights, which are all that there are.

        Raises:
            ConfigError: stages would stay frozen at them.
        """
        remedy = (
            "give MODEL.WEIGHTS, such as MSRA's ResNet of detectron2's model zoo "
            "(tools/convert_weights.py --source detectron2) or YOLOF's (--source yolof), or "
            "take MODEL.BACKBONE.NAME TimmBackbone MODEL.BACKBONE.PRETRAINED True"
        )
        self.refuse_frozen("the ResNet", remedy=remedy)
        if any(isinstance(module, FrozenBatchNorm2d) for module in self.modules()):
            logger.warning(
                "Frozen batch norms of the ResNet do nothing for random weights: %s, or "
                "MODEL.RESNETS.NORM BN.", remedy,
            )  # fmt: skip

    @property
    def size_divisibility(self) -> int:
        """0: sides of the images may be anything."""
        return 0
