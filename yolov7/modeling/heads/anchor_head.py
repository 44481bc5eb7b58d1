"""The head of YOLOv7: several boxes a cell, each counted from an anchor (arXiv:2207.02696)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ImageList, ShapeSpec, configurable
from yolov7.layers import (
    ConvFactory,
    ConvNormAct,
    ImplicitConv,
    ModuleFactory,
    NormFactory,
    RepConv,
    batch_norm_of,
    yolo_batch_norm,
)
from yolov7.modeling.heads.activation import head_activation
from yolov7.modeling.heads.anchors import Anchors
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import HEAD_REGISTRY
from yolov7.modeling.scaling import scaled_width
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect, expect_widths
from yolov7.utils.names import look_up


def spatial_conv(in_channels: int, out_channels: int, **parts: Any) -> ConvNormAct:
    """The plain 3×3 convolution before the prediction."""
    return ConvNormAct(in_channels, out_channels, 3, **parts)


PRE_CONVS: Mapping[str, ConvFactory] = {"conv": spatial_conv, "rep_conv": RepConv}
"""Convolutions before the prediction, by the name that a config gives them."""

# The bias starts as if an image of this side held so many objects on each level.
_PRIOR_SIDE, _PRIOR_OBJECTS = 640, 8


@HEAD_REGISTRY.register()
class AnchorHead(nn.Module):
    """One 3×3 convolution a level, then one 1×1 that predicts box, objectness and classes.

    Channels of the last convolution are ordered by anchor, then x, y, w, h, objectness, classes.
    Levels share nothing. The order of predictions is level (ascending stride), anchor, row, column.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        num_classes: int,
        anchors: Sequence[Sequence[Sequence[float]]],
        channels: Sequence[int],
        pre_conv: ConvFactory = spatial_conv,
        around_predictor: Callable[[nn.Conv2d], nn.Module] | None = None,
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the neck's `output_shape()`, or its `auxiliary_shape()`.
            num_classes: K.
            anchors: (width, height) in pixels of each anchor of each level, ascending stride;
                equally many for all levels.
            channels: width of each level's 3×3 convolution.
            pre_conv: makes it, from widths before and after it.
            around_predictor: makes what predicts from the 1×1 convolution, such as `ImplicitConv`;
                the convolution itself when None.
            activation, norm: make these layers.

        Raises:
            ConfigError: there is no class, or anchors or widths do not fit the levels.
        """
        super().__init__()
        expect(num_classes >= 1, "MODEL.YOLO.CLASSES", "at least 1", num_classes)
        ordered = sorted(input_shape.items(), key=lambda item: item[1].stride)
        self._input_names = [name for name, _ in ordered]
        self._strides = [spec.stride for _, spec in ordered]
        if len(channels) != len(ordered):
            raise ConfigError(
                f"expected one width for each of the strides {self._strides} of the head's "
                f"convolutions, got {list(channels)}"
            )
        self.num_classes = num_classes
        self._anchors = Anchors(anchors, strides=self._strides)
        outputs = self._anchors.num_anchors * (5 + num_classes)
        self.pre_convs = nn.ModuleList()
        self.predictors = nn.ModuleList()
        for (_, spec), width in zip(ordered, channels, strict=True):
            self.pre_convs.append(pre_conv(spec.channels, width, norm=norm, activation=activation))
            conv = nn.Conv2d(width, outputs, 1)
            self._add_prior(conv.bias, spec.stride)
            self.predictors.append(conv if around_predictor is None else around_predictor(conv))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Classes and anchors from `MODEL.YOLO`, layers from `MODEL.HEAD`.

        Raises:
            ConfigError: widths are given, but not one for each level.
        """
        head = cfg.MODEL.HEAD
        return {
            **cls._common_arguments(cfg, input_shape),
            "channels": _level_widths(cfg, input_shape),
            "pre_conv": look_up(PRE_CONVS, head.PRE_CONV, "MODEL.HEAD.PRE_CONV"),
            "around_predictor": ImplicitConv if head.IMPLICIT else None,
        }

    @classmethod
    def auxiliary(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> AnchorHead:
        """The head that deep supervision adds: plain convolutions, `MODEL.AUXILIARY_HEAD` wide.

        Args:
            cfg: the config.
            input_shape: the neck's `auxiliary_shape()`.

        Raises:
            ConfigError: there is not one width for each level.
        """
        widths = expect_widths(cfg.MODEL.AUXILIARY_HEAD.CHANNELS, "MODEL.AUXILIARY_HEAD.CHANNELS")
        if len(widths) != len(input_shape):
            raise ConfigError(
                f"MODEL.AUXILIARY_HEAD.CHANNELS: expected {len(input_shape)} widths, one for each "
                f"of {', '.join(input_shape)}, got {widths}"
            )
        return cls(
            **cls._common_arguments(cfg, input_shape),
            channels=[scaled_width(cfg, width) for width in widths],
        )

    @staticmethod
    def _common_arguments(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        return {
            "input_shape": input_shape,
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "anchors": cfg.MODEL.YOLO.ANCHORS,
            "activation": head_activation(cfg, cfg.MODEL.ELAN.ACTIVATION),
            "norm": batch_norm_of(cfg.MODEL.HEAD.BN_EPSILON, key="MODEL.HEAD.BN_EPSILON"),
        }

    @property
    def anchors(self) -> Tensor:
        """``(L, A, 2)`` width and height in pixels, float32."""
        return self._anchors.sizes

    def forward(self, features: Mapping[str, Tensor], images: ImageList) -> DensePredictions:
        """Predict from the neck's maps; `images` is what every head is given, not used here."""
        num_anchors = self._anchors.num_anchors
        levels, level_sizes = [], []
        for name, pre_conv, predictor in zip(
            self._input_names, self.pre_convs, self.predictors, strict=True
        ):
            x = predictor(pre_conv(features[name]))
            level_sizes.append(tuple(x.shape[-2:]))
            # (B, A·(5 + K), H, W) to (B, A·H·W, 5 + K)
            levels.append(x.unflatten(1, (num_anchors, -1)).flatten(3).mT.flatten(1, 2))
        outputs = torch.cat(levels, dim=1)
        dtype = torch.promote_types(outputs.dtype, torch.float32)
        centers, strides = cell_centers(
            level_sizes, self._strides, num_anchors=num_anchors, dtype=dtype, device=outputs.device
        )
        return DensePredictions(
            class_logits=outputs[..., 5:],
            objectness_logits=outputs[..., 4],
            box_deltas=outputs[..., :4],
            centers=centers,
            strides=strides,
            level_sizes=tuple(level_sizes),
            anchors=self._anchors.of_predictions(level_sizes, dtype=dtype),
        )

    @torch.no_grad()
    def _add_prior(self, bias: Tensor, stride: int) -> None:
        """Few objects and rare classes, added to PyTorch's initialisation (focal loss' prior)."""
        by_anchor = bias.view(self._anchors.num_anchors, -1)
        by_anchor[:, 4] += math.log(_PRIOR_OBJECTS / (_PRIOR_SIDE / stride) ** 2)
        by_anchor[:, 5:] += math.log(0.6 / (self.num_classes - 0.99))


def _level_widths(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> list[int]:
    """Widths of the 3×3 convolutions: those asked for, or twice those of the neck's maps."""
    key = "MODEL.HEAD.LEVEL_CHANNELS"
    widths = expect_widths(cfg.MODEL.HEAD.LEVEL_CHANNELS, key)
    if not widths:
        by_stride = sorted((spec.stride, spec.channels) for spec in input_shape.values())
        return [2 * channels for _, channels in by_stride]
    fits = len(widths) == len(input_shape)
    expect(fits, key, f"one width for each of {', '.join(input_shape)}, or none", widths)
    return [scaled_width(cfg, width) for width in widths]
