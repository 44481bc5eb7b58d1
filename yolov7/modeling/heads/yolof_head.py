"""YOLOF's head: one map, several square anchors a cell, implicit objectness (arXiv:2103.09460)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ImageList, ShapeSpec, configurable
from yolov7.layers import ACTIVATIONS, ConvNormAct, ModuleFactory, NormFactory, find_activation
from yolov7.modeling.heads.anchors import Anchors
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import HEAD_REGISTRY
from yolov7.ops.box_ops import at_least_float32
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect

_LARGEST_EXPONENT = math.log(1e8)


@HEAD_REGISTRY.register()
class YOLOFHead(nn.Module):
    """A branch for classes and a longer one for boxes and objectness, as wide as the map.

    Objectness is implicit: it is part of the class logits (see :func:`joint_logits`), so the
    predictions have none and it has no loss. The order of predictions is anchor, row, column.
    """

    has_objectness = False

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        num_classes: int,
        anchors: Sequence[Sequence[Sequence[float]]],
        num_class_convs: int = 2,
        num_box_convs: int = 4,
        prior_probability: float = 0.01,
        activation: ModuleFactory = ACTIVATIONS["relu"],
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        """
        Args:
            input_shape: the neck's `output_shape()`, a single map.
            num_classes: K.
            anchors: (width, height) in pixels of each anchor, for the one level.
            num_class_convs, num_box_convs: 3×3 convolutions of each branch.
            prior_probability: what the untrained head's class branch says for every class.
            activation, norm: make these layers.

        Raises:
            ConfigError: there are several maps, no class, the anchors do not fit, or the prior is
                not strictly between 0 and 1.
        """
        super().__init__()
        if len(input_shape) != 1:
            raise ConfigError(
                f"MODEL.HEAD.NAME: YOLOFHead looks at one map, and the neck gives "
                f"{', '.join(input_shape)}. Fitting: MODEL.NECK.NAME DilatedEncoder, or one stride "
                "in MODEL.NECK.IN_STRIDES"
            )
        expect(num_classes >= 1, "MODEL.YOLO.CLASSES", "at least 1", num_classes)
        key, wanted = "MODEL.HEAD.PRIOR_PROBABILITY", "between 0 and 1"
        expect(0.0 < prior_probability < 1.0, key, wanted, prior_probability)
        ((self._input_name, spec),) = input_shape.items()
        self._stride = spec.stride
        self.num_classes = num_classes
        self._anchors = Anchors(anchors, strides=[spec.stride])
        width, each = spec.channels, self._anchors.num_anchors
        parts = {"bias": True, "norm": norm, "activation": activation}

        def branch(length: int) -> nn.Sequential:
            return nn.Sequential(*(ConvNormAct(width, width, 3, **parts) for _ in range(length)))

        self.class_convs = branch(num_class_convs)
        self.box_convs = branch(num_box_convs)
        self.class_predictor = nn.Conv2d(width, each * num_classes, 3, padding=1)
        self.box_predictor = nn.Conv2d(width, each * 4, 3, padding=1)
        self.objectness_predictor = nn.Conv2d(width, each, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        prior_logit = math.log(prior_probability / (1.0 - prior_probability))
        nn.init.constant_(self.class_predictor.bias, prior_logit)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Classes and anchors from `MODEL.YOLO`, layers from `MODEL.YOLOF` and `MODEL.HEAD`."""
        yolof = cfg.MODEL.YOLOF
        return {
            "input_shape": input_shape,
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "anchors": cfg.MODEL.YOLO.ANCHORS,
            "num_class_convs": yolof.CLASS_CONVS,
            "num_box_convs": yolof.BOX_CONVS,
            "prior_probability": cfg.MODEL.HEAD.PRIOR_PROBABILITY,
            "activation": find_activation(yolof.ACTIVATION, key="MODEL.YOLOF.ACTIVATION"),
        }

    @property
    def anchors(self) -> Tensor:
        """``(1, A, 2)`` width and height in pixels, float32."""
        return self._anchors.sizes

    def forward(self, features: Mapping[str, Tensor], images: ImageList) -> DensePredictions:
        """Predict from the neck's map; `images` is what every head is given, not used here."""
        x = features[self._input_name]
        box_features = self.box_convs(x)
        class_logits = self._by_place(self.class_predictor(self.class_convs(x)))
        objectness_logits = self._by_place(self.objectness_predictor(box_features))
        box_deltas = self._by_place(self.box_predictor(box_features))
        level_sizes = (tuple(x.shape[-2:]),)
        dtype = torch.promote_types(box_deltas.dtype, torch.float32)
        centers, strides = cell_centers(
            level_sizes,
            [self._stride],
            num_anchors=self._anchors.num_anchors,
            dtype=dtype,
            device=box_deltas.device,
        )
        return DensePredictions(
            class_logits=joint_logits(class_logits, objectness_logits),
            objectness_logits=None,
            box_deltas=box_deltas,
            centers=centers,
            strides=strides,
            level_sizes=level_sizes,
            anchors=self._anchors.of_predictions(level_sizes, dtype=dtype),
        )

    def _by_place(self, x: Tensor) -> Tensor:
        """(B, A·C, H, W) to (B, A·H·W, C)."""
        return x.unflatten(1, (self._anchors.num_anchors, -1)).flatten(3).mT.flatten(1, 2)


def joint_logits(class_logits: Tensor, objectness_logits: Tensor) -> Tensor:
    """Logits ``z`` of the product of scores, ``σ(z) = σ(class) · σ(objectness)``.

    In at least float32. Exponentials are bounded by 1e8, as in the authors' code, so that ``z``
    goes on to grow where both logits are above 18.

    Args:
        class_logits: ``(..., K)``.
        objectness_logits: ``(..., 1)``.

    Returns:
        ``(..., K)``.
    """
    class_logits = at_least_float32(class_logits)
    objectness_logits = at_least_float32(objectness_logits)
    odds = class_logits.clamp(max=_LARGEST_EXPONENT).exp()
    odds = odds + objectness_logits.clamp(max=_LARGEST_EXPONENT).exp()
    return class_logits + objectness_logits - odds.log1p()
