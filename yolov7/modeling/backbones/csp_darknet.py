"""CSPDarknet, the backbone of YOLOX nano to x (arXiv:2107.08430, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from yolov7.d2 import BACKBONE_REGISTRY, Backbone, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    SPP,
    ConvNormAct,
    CSPBlock,
    DepthwiseSeparableConv,
    FocusStem,
    ModuleFactory,
    NormFactory,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.backbones.stages import choose_stages, stages_of_strides
from yolov7.modeling.scaling import scaled_depth, scaled_width

STAGE_STRIDES = {"dark2": 4, "dark3": 8, "dark4": 16, "dark5": 32}


@BACKBONE_REGISTRY.register()
class CSPDarknet(Backbone):
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

        Raises:
            ConfigError: `out_features` has a name that is no stage.
        """
        super().__init__()
        conv = DepthwiseSeparableConv if depthwise else ConvNormAct
        parts = {"norm": norm, "activation": activation}
        self.stem = FocusStem(in_channels, stem_channels, **parts)

        self._out_features = choose_stages(out_features, STAGE_STRIDES, backbone="CSPDarknet")
        self._out_feature_strides = {name: STAGE_STRIDES[name] for name in self._out_features}
        self._out_feature_channels = {}
        channels, self._stage_names = stem_channels, []
        for index, name in enumerate(STAGE_STRIDES):
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
            self._stage_names.append(name)
            if name in out_features:
                self._out_feature_channels[name] = channels
            if name == self._out_features[-1]:
                break

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
        }

    @property
    def size_divisibility(self) -> int:
        """Sides of the images must be multiples of the coarsest stride."""
        return self._out_feature_strides[self._out_features[-1]]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, features = self.stem(images), {}
        for name in self._stage_names:
            x = self.get_submodule(name)(x)
            if name in self._out_feature_strides:
                features[name] = x
        return features
