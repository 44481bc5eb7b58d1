"""YOLOF's dilated encoder: objects of all sizes seen on one map (arXiv:2103.09460, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import ACTIVATIONS, ConvNormAct, ModuleFactory, NormFactory, find_activation
from yolov7.modeling.necks.features import pyramid_shape, select_by_stride
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.utils.expectations import expect, expect_widths


class DilatedBlock(nn.Module):
    """1×1, dilated 3×3 and 1×1 convolution with activation, then added to the input."""

    def __init__(
        self,
        channels: int,
        *,
        hidden_channels: int,
        dilation: int,
        norm: NormFactory,
        activation: ModuleFactory,
    ) -> None:
        """
        Args:
            channels: width of input and output.
            hidden_channels: width of the 3×3 convolution.
            dilation: of the 3×3 convolution.
            norm, activation: make these layers.
        """
        super().__init__()
        parts = {"bias": True, "norm": norm, "activation": activation}
        self.conv1 = ConvNormAct(channels, hidden_channels, 1, **parts)
        self.conv2 = ConvNormAct(hidden_channels, hidden_channels, 3, dilation=dilation, **parts)
        self.conv3 = ConvNormAct(hidden_channels, channels, 1, **parts)
        for conv in (self.conv1.conv, self.conv2.conv, self.conv3.conv):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv3(self.conv2(self.conv1(x)))


@NECK_REGISTRY.register()
class DilatedEncoder(nn.Module):
    """Narrow one map, smooth it, and let blocks of growing dilation add what lies around.

    The two convolutions in front have a norm but no activation.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        channels: int = 512,
        hidden_channels: int = 128,
        dilations: Sequence[int] = (2, 4, 6, 8),
        activation: ModuleFactory = ACTIVATIONS["relu"],
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: the stride of the map, as a list of one.
            channels: width of the map that is returned.
            hidden_channels: width of the dilated convolutions.
            dilations: of each block.
            activation, norm: make these layers.

        Raises:
            ConfigError: there is more than one stride, or none that the backbone has.
        """
        super().__init__()
        key = "MODEL.NECK.IN_STRIDES"
        expect(len(in_strides) == 1, key, "one stride for DilatedEncoder", list(in_strides))
        (self._input_name,) = select_by_stride(input_shape, in_strides)
        self._output_shape = pyramid_shape(in_strides, [channels])
        linear = {"bias": True, "norm": norm, "activation": nn.Identity}
        before = input_shape[self._input_name].channels
        self.lateral_conv = ConvNormAct(before, channels, 1, **linear)
        self.output_conv = ConvNormAct(channels, channels, 3, **linear)
        for unit in (self.lateral_conv, self.output_conv):
            nn.init.kaiming_uniform_(unit.conv.weight, a=1)
            nn.init.zeros_(unit.conv.bias)
        self.blocks = nn.Sequential(
            *(
                DilatedBlock(
                    channels,
                    hidden_channels=hidden_channels,
                    dilation=dilation,
                    norm=norm,
                    activation=activation,
                )
                for dilation in dilations
            )
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Stride and width from `MODEL.NECK`, the rest from `MODEL.YOLOF`."""
        neck, yolof = cfg.MODEL.NECK, cfg.MODEL.YOLOF
        expect_widths([neck.CHANNELS], "MODEL.NECK.CHANNELS")
        expect_widths([yolof.HIDDEN_CHANNELS], "MODEL.YOLOF.HIDDEN_CHANNELS")
        return {
            "input_shape": input_shape,
            "in_strides": neck.IN_STRIDES,
            "channels": neck.CHANNELS,
            "hidden_channels": yolof.HIDDEN_CHANNELS,
            "dilations": expect_widths(yolof.DILATIONS, "MODEL.YOLOF.DILATIONS"),
            "activation": find_activation(yolof.ACTIVATION, key="MODEL.YOLOF.ACTIVATION"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = self.output_conv(self.lateral_conv(features[self._input_name]))
        (name,) = self._output_shape
        return {name: self.blocks(x)}
