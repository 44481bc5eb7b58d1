"""Darknet-53 and its smaller sister, the backbones of YOLOv3 (arXiv:1804.02767, section 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    ACTIVATIONS,
    Bottleneck,
    ConvNormAct,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.modeling.scaling import scaled_depth, scaled_width
from yolov7.utils.errors import ConfigError

STAGE_STRIDES = {"dark1": 2, "dark2": 4, "dark3": 8, "dark4": 16, "dark5": 32}

# Residual blocks of the stages, by the depth that the net is named after: convolutions and, in the
# classifier that it was published as, the last linear layer.
STAGE_BLOCKS = {21: (1, 1, 2, 2, 1), 53: (1, 2, 8, 8, 4)}


@BACKBONE_REGISTRY.register()
class Darknet(StagedBackbone):
    """A convolution and five stages, each a strided convolution and residual blocks.

    Maps images (B, C, H, W), H and W multiples of `size_divisibility`, to the asked ones of
    `dark1` to `dark5` with strides 2 to 32 and 2 to 32 times the stem's channels. Stages deeper
    than the last one asked for are not built.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stem_channels: int = 32,
        stage_blocks: Sequence[int] = STAGE_BLOCKS[53],
        out_features: Sequence[str] = ("dark3", "dark4", "dark5"),
        activation: ModuleFactory = ACTIVATIONS["leaky_relu"],
        norm: NormFactory = yolo_batch_norm,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the images.
            stem_channels: width of the first convolution; each stage has twice the width of the
                one before.
            stage_blocks: residual blocks of each of the five stages.
            out_features: names of the maps to return.
            activation, norm: make these layers.
            freeze_at: see `StagedBackbone.freeze_at`.

        Raises:
            ConfigError: `out_features` has a name that is no stage, or what is to be frozen is
                none.
        """
        super().__init__(
            stage_strides=STAGE_STRIDES,
            stage_channels={name: stem_channels * stride for name, stride in STAGE_STRIDES.items()},
            out_features=out_features,
        )
        parts = {"norm": norm, "activation": activation}
        self.stem = ConvNormAct(in_channels, stem_channels, 3, **parts)
        channels = stem_channels
        for name, num_blocks in zip(self.stage_names, stage_blocks, strict=False):
            layers = [ConvNormAct(channels, 2 * channels, 3, stride=2, **parts)]
            channels *= 2
            layers += [
                Bottleneck(channels, hidden_channels=channels // 2, shortcut=True, **parts)
                for _ in range(num_blocks)
            ]
            self.add_module(name, nn.Sequential(*layers))
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Depth and kinds of layers from `MODEL.DARKNET`, multipliers from `MODEL.YOLO`."""
        depth = cfg.MODEL.DARKNET.DEPTH
        if depth not in STAGE_BLOCKS:
            raise ConfigError(
                f"MODEL.DARKNET.DEPTH: there are Darknets of depth "
                f"{', '.join(map(str, STAGE_BLOCKS))}, not {depth}"
            )
        return {
            "in_channels": input_shape.channels,
            "stem_channels": scaled_width(cfg, 32),
            "stage_blocks": [scaled_depth(cfg, blocks) for blocks in STAGE_BLOCKS[depth]],
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES, STAGE_STRIDES, backbone="Darknet"
            ),
            "activation": find_activation(
                cfg.MODEL.DARKNET.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"
            ),
            "norm": batch_norm_of(cfg.MODEL.DARKNET.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }
