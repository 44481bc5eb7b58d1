"""The neck of detectors with a transformer: one map, narrowed to the transformer's width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from yolov7.d2 import CfgNode, ShapeSpec, configurable
from yolov7.layers import NORMS, NormFactory
from yolov7.modeling.necks.features import pyramid_name, select_by_stride
from yolov7.modeling.registries import NECK_REGISTRY
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up


@NECK_REGISTRY.register()
class Projection(nn.Module):
    """A 1×1 convolution with bias, and a norm if asked for, of the coarsest map.

    Finer maps are passed on as they are; DETR's mask head looks at them.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_strides: Sequence[int],
        channels: int,
        norm: NormFactory = nn.Identity,
    ) -> None:
        """
        Args:
            input_shape: the backbone's `output_shape()`.
            in_strides: strides of the maps to pass on, of which the coarsest is projected.
            channels: of the projected map.
            norm: makes the normalisation behind the convolution.

        Raises:
            ConfigError: the backbone has no map of a stride, or there are no channels.
        """
        super().__init__()
        expect(channels >= 1, "MODEL.NECK.CHANNELS", "at least 1", channels)
        names = select_by_stride(input_shape, in_strides)
        self._input_names = {pyramid_name(input_shape[name].stride): name for name in names}
        self._output_shape = {
            level: ShapeSpec(channels=input_shape[name].channels, stride=input_shape[name].stride)
            for level, name in self._input_names.items()
        }
        self._projected = list(self._input_names)[-1]
        coarsest = self._output_shape[self._projected]
        self.conv = nn.Conv2d(coarsest.channels, channels, 1)
        self.norm = norm(channels)
        self._output_shape[self._projected] = ShapeSpec(channels=channels, stride=coarsest.stride)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Strides, width and norm from `MODEL.NECK`."""
        return {
            "input_shape": input_shape,
            "in_strides": cfg.MODEL.NECK.IN_STRIDES,
            "channels": cfg.MODEL.NECK.CHANNELS,
            "norm": look_up(NORMS, cfg.MODEL.NECK.NORM, "MODEL.NECK.NORM"),
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each map."""
        return dict(self._output_shape)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = {level: features[name] for level, name in self._input_names.items()}
        maps[self._projected] = self.norm(self.conv(maps[self._projected]))
        return maps
