"""A neck that leaves the backbone's maps as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.modeling.necks.features import pyramid_name, select_by_stride
from yolov7.modeling.registries import NECK_REGISTRY


@NECK_REGISTRY.register()
class Identity(nn.Module):
    """Picks maps by stride and names them `p3, p4 …`; for backbones that bring their own pyramid.

    With it detectron2's `build_resnet_fpn_backbone` and the like sit directly under a head.
    """

    @configurable
    def __init__(self, *, input_shape: Mapping[str, ShapeSpec], in_strides: Sequence[int]) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to pass on.
        """
        super().__init__()
        names = select_by_stride(input_shape, in_strides)
        self._input_names = {pyramid_name(input_shape[name].stride): name for name in names}
        self._output_shape = {
            level: ShapeSpec(channels=input_shape[name].channels, stride=input_shape[name].stride)
            for level, name in self._input_names.items()
        }

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Strides from `MODEL.NECK.IN_STRIDES`."""
        return {"input_shape": input_shape, "in_strides": cfg.MODEL.NECK.IN_STRIDES}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {level: features[name] for level, name in self._input_names.items()}
