"""The backbone of YOLOv4-tiny (Wang et al., arXiv:2011.08036, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    darknet_batch_norm,
    find_activation,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.modeling.scaling import scaled_width

STAGE_STRIDES = {"dark2": 4, "dark3": 8, "dark4": 16, "dark5": 32}


@BACKBONE_REGISTRY.register()
class CSPDarknetTiny(StagedBackbone):
    """Two strided convolutions, three partial stages with max-pooling after each, a convolution.

    Maps images (B, C, H, W), H and W multiples of `size_divisibility`, to the asked ones of
    `dark2`, `dark3`, `dark4`, `dark5` with strides 4, 8, 16, 32 and 2, 4, 8, 16 times the stem's
    channels. The first three are taken inside their stage: the half that the stage has made, not
    what it hands on. Stages deeper than the last one asked for are not built.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stem_channels: int = 32,
        out_features: Sequence[str] = ("dark4", "dark5"),
        activation: ModuleFactory = ACTIVATIONS["leaky_relu"],
        norm: NormFactory = darknet_batch_norm,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the images.
            stem_channels: width of the first convolution.
            out_features: names of the maps to return.
            activation, norm: make these layers.
            freeze_at: see `StagedBackbone.freeze_at`.

        Raises:
            ConfigError: `out_features` has a name that is no stage, or what is to be frozen is
                none.
        """
        super().__init__(
            stage_strides=STAGE_STRIDES,
            stage_channels={
                name: stem_channels * stride // 2 for name, stride in STAGE_STRIDES.items()
            },
            out_features=out_features,
        )
        parts = {"norm": norm, "activation": activation}
        channels = 2 * stem_channels
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, stem_channels, 3, stride=2, **parts),
            ConvNormAct(stem_channels, channels, 3, stride=2, **parts),
        )
        for name in self.stage_names:
            if name == "dark5":
                stage = ConvNormAct(channels, channels, 3, **parts)
            else:
                stage = PartialStage(channels, **parts)
            self.add_module(name, stage)
            channels *= 2
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Kinds of layers from `MODEL.DARKNET`, width multiplied by `MODEL.YOLO.WIDTH_MUL`."""
        darknet = cfg.MODEL.DARKNET
        return {
            "in_channels": input_shape.channels,
            "stem_channels": scaled_width(cfg, 32),
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES, STAGE_STRIDES, backbone="CSPDarknetTiny"
            ),
            "activation": find_activation(darknet.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"),
            "norm": batch_norm_of(darknet.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, features = self.stem(images), {}
        for name in self.stage_names:
            stage = self.get_submodule(name)
            if name == "dark5":
                made = stage(x)
            else:
                made, x = stage(x)
            if name in self._out_feature_strides:
                features[name] = made
        return features


class PartialStage(nn.Module):
    """3×3 convolutions of which only half the channels go on, joined again by a 1×1.

    Maps (B, C, H, W) to what it has made, (B, C, H, W), and to the input of the next stage,
    (B, 2·C, H / 2, W / 2).
    """

    def __init__(self, channels: int, *, norm: NormFactory, activation: ModuleFactory) -> None:
        """
        Args:
            channels: C, even.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        half = channels // 2
        self.conv1 = ConvNormAct(channels, channels, 3, **parts)
        self.conv2 = ConvNormAct(half, half, 3, **parts)
        self.conv3 = ConvNormAct(half, half, 3, **parts)
        self.mix = ConvNormAct(channels, channels, 1, **parts)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        whole = self.conv1(x)
        first = self.conv2(whole.chunk(2, dim=1)[1])
        made = self.mix(torch.cat([self.conv3(first), first], dim=1))
        return made, self.pool(torch.cat([whole, made], dim=1))
