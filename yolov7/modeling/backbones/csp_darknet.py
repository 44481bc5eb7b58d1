"""CSPDarknet, the backbone of YOLOX nano to x (arXiv:2107.08430, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    SPP,
    ConvNormAct,
    CSPBlock,
    DepthwiseSeparableConv,
    FocusStem,
    ModuleFactory,
    NormFactory,
    batch_norm_of,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.modeling.scaling import scaled_depth, scaled_width

STAGE_STRIDES = {"dark2": 4, "dark3": 8, "dark4": 16, "dark5": 32}


@BACKBONE_REGISTRY.register()
class CSPDarknet(StagedBackbone):
    """A Focus stem and four stages, each a strided convolution and a CSP block.

    Maps images (B, C, H, W), H and W multiples of `size_divisibility`, to the asked ones of
    `dark2`, `dark3`, `dark4`, `dark5` with strides 4, 8, 16, 32 and 2, 4, 8, 16 times the stem's
    channels. Stages deeper than the last one asked for are not built.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stem_channels: int,
        num_blocks: int,
        out_features: Sequence[str] = ("dark3", "dark4", "dark5"),
        depthwise: bool = False,
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the images.
            stem_channels: width of the stem; 64 in YOLOX-l.
            num_blocks: bottlenecks of the first and last stage; the middle ones have three times
                as many. 3 in YOLOX-l.
            out_features: names of the maps to return.
            depthwise: 3×3 convolutions as depthwise and pointwise ones, the stem's excepted.
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
        conv = DepthwiseSeparableConv if depthwise else ConvNormAct
        parts = {"norm": norm, "activation": activation}
        self.stem = FocusStem(in_channels, stem_channels, **parts)
        channels = stem_channels
        for index, name in enumerate(self.stage_names):
            is_last = name == "dark5"
            layers = [conv(channels, 2 * channels, 3, stride=2, **parts)]
            channels *= 2
            if is_last:
                layers.append(SPP(channels, channels, **parts))
            block = CSPBlock(
                channels,
                channels,
                num_blocks=3 * num_blocks if index in (1, 2) else num_blocks,
                shortcut=not is_last,
                spatial_conv=conv,
                **parts,
            )
            self.add_module(name, nn.Sequential(*layers, block))
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Width and depth from `MODEL.YOLO`, kinds of layers from `MODEL.DARKNET`."""
        return {
            "in_channels": input_shape.channels,
            "stem_channels": scaled_width(cfg, 64),
            "num_blocks": max(scaled_depth(cfg, 3), 1),
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES, STAGE_STRIDES, backbone="CSPDarknet"
            ),
            "depthwise": cfg.MODEL.DARKNET.DEPTH_WISE,
            "activation": find_activation(
                cfg.MODEL.DARKNET.ACTIVATION, key="MODEL.DARKNET.ACTIVATION"
            ),
            "norm": batch_norm_of(cfg.MODEL.DARKNET.BN_EPSILON, key="MODEL.DARKNET.BN_EPSILON"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }
