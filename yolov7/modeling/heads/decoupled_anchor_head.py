"""YOLOX's head with several boxes a cell, each counted from an anchor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from yolov7.d2 import CfgNode, ShapeSpec
from yolov7.modeling.heads.anchors import Anchors
from yolov7.modeling.heads.decoupled_head import DecoupledHead
from yolov7.modeling.registries import HEAD_REGISTRY


@HEAD_REGISTRY.register()
class DecoupledAnchorHead(DecoupledHead):
    """`DecoupledHead` around anchors: separate branches under anchor-based assigners and coders."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """As `DecoupledHead`, with the anchors of `MODEL.YOLO`."""
        strides = sorted(spec.stride for spec in input_shape.values())
        return {
            **super().from_config(cfg, input_shape),
            "anchors": Anchors(cfg.MODEL.YOLO.ANCHORS, strides=strides),
        }

    @property
    def anchors(self) -> Tensor:
        """``(L, A, 2)`` width and height in pixels, float32."""
        return self._anchors.sizes
