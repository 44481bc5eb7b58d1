"""YOLOX's head: separate branches for classes and boxes (arXiv:2107.08430, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ImageList, ShapeSpec, configurable
from yolov7.layers import (
    ConvNormAct,
    DepthwiseSeparableConv,
    ModuleFactory,
    NormFactory,
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


@HEAD_REGISTRY.register()
class DecoupledHead(nn.Module):
    """Classes from one branch, box and objectness from another; one prediction a cell.

    With anchors (`DecoupledAnchorHead`) it is one prediction for each anchor of a cell. Levels
    share nothing. The order of predictions is level (ascending stride), anchor, row, column.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        num_classes: int,
        channels: int,
        num_convs: int = 2,
        anchors: Anchors | None = None,
        prior_probability: float = 0.01,
        depthwise: bool = False,
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
    ) -> None:
        """
        Args:
            input_shape: the neck's `output_shape()`.
            num_classes: K.
            channels: width of both branches.
            num_convs: 3×3 convolutions of each branch.
            anchors: what boxes are counted from, for the same levels; None for one box a cell.
            prior_probability: what the untrained head says for every class and for objectness.
            depthwise: 3×3 convolutions as depthwise and pointwise ones.
            activation, norm: make these layers.

        Raises:
            ConfigError: the prior is not strictly between 0 and 1, or there is no class.
        """
        super().__init__()
        if not 0.0 < prior_probability < 1.0:
            raise ConfigError(
                f"MODEL.HEAD.PRIOR_PROBABILITY: expected between 0 and 1, got {prior_probability}"
            )
        if num_classes < 1:
            raise ConfigError(f"MODEL.YOLO.CLASSES: expected at least 1, got {num_classes}")
        self.num_classes = num_classes
        self._anchors = anchors
        self._boxes_a_cell = 1 if anchors is None else anchors.num_anchors
        ordered = sorted(input_shape.items(), key=lambda item: item[1].stride)
        self._input_names = [name for name, _ in ordered]
        self._strides = [spec.stride for _, spec in ordered]
        conv = DepthwiseSeparableConv if depthwise else ConvNormAct
        parts = {"norm": norm, "activation": activation}

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv(channels, channels, 3, **parts) for _ in range(num_convs)))

        self.stems = nn.ModuleList()
        self.class_convs = nn.ModuleList()
        self.box_convs = nn.ModuleList()
        self.class_predictors = nn.ModuleList()
        self.box_predictors = nn.ModuleList()
        self.objectness_predictors = nn.ModuleList()
        for _, spec in ordered:
            self.stems.append(ConvNormAct(spec.channels, channels, 1, **parts))
            self.class_convs.append(branch())
            self.box_convs.append(branch())
            self.class_predictors.append(nn.Conv2d(channels, num_classes * self._boxes_a_cell, 1))
            self.box_predictors.append(nn.Conv2d(channels, 4 * self._boxes_a_cell, 1))
            self.objectness_predictors.append(nn.Conv2d(channels, self._boxes_a_cell, 1))
        prior_logit = math.log(prior_probability / (1.0 - prior_probability))
        for predictor in [*self.class_predictors, *self.objectness_predictors]:
            nn.init.constant_(predictor.bias, prior_logit)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Classes from `MODEL.YOLO`, width and layers from `MODEL.HEAD` and `MODEL.DARKNET`."""
        return {
            "input_shape": input_shape,
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "channels": scaled_width(cfg, cfg.MODEL.HEAD.CHANNELS),
            "prior_probability": cfg.MODEL.HEAD.PRIOR_PROBABILITY,
            "depthwise": cfg.MODEL.DARKNET.DEPTH_WISE,
            "activation": head_activation(cfg, cfg.MODEL.DARKNET.ACTIVATION),
            "norm": batch_norm_of(cfg.MODEL.HEAD.BN_EPSILON, key="MODEL.HEAD.BN_EPSILON"),
        }

    def forward(self, features: Mapping[str, Tensor], images: ImageList) -> DensePredictions:
        """Predict from the neck's maps; `images` is what every head is given, not used here."""
        class_logits, objectness_logits, box_deltas, level_sizes = [], [], [], []
        for level, name in enumerate(self._input_names):
            x = self.stems[level](features[name])
            class_features = self.class_convs[level](x)
            box_features = self.box_convs[level](x)
            class_logits.append(self._places_first(self.class_predictors[level](class_features)))
            objectness = self.objectness_predictors[level](box_features)
            objectness_logits.append(objectness.flatten(1))
            box_deltas.append(self._places_first(self.box_predictors[level](box_features)))
            level_sizes.append(tuple(x.shape[-2:]))
        dtype = torch.promote_types(box_deltas[0].dtype, torch.float32)
        centers, strides = cell_centers(
            level_sizes,
            self._strides,
            num_anchors=self._boxes_a_cell,
            dtype=dtype,
            device=box_deltas[0].device,
        )
        anchors = None
        if self._anchors is not None:
            anchors = self._anchors.of_predictions(level_sizes, dtype=dtype)
        return DensePredictions(
            class_logits=torch.cat(class_logits, dim=1),
            objectness_logits=torch.cat(objectness_logits, dim=1),
            box_deltas=torch.cat(box_deltas, dim=1),
            centers=centers,
            strides=strides,
            level_sizes=tuple(level_sizes),
            anchors=anchors,
        )

    def _places_first(self, x: Tensor) -> Tensor:
        """(B, A·C, H, W) to (B, A·H·W, C), A being the boxes of a cell."""
        by_box = x.flatten(2).unflatten(1, (self._boxes_a_cell, -1))
        return by_box.transpose(2, 3).flatten(1, 2)
