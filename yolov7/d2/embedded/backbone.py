"""`Backbone`: the interface of everything that turns images into feature maps."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

import torch
from torch import nn

from yolov7.d2.embedded.shape_spec import ShapeSpec


class Backbone(nn.Module, metaclass=ABCMeta):
    """Images in, named feature maps out.

    Subclasses write `forward` and either override `output_shape` or set `_out_features` (names),
    `_out_feature_channels` and `_out_feature_strides` (dicts by name).
    """

    @abstractmethod
    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map images (B, C, H, W) to {name: (B, C', H / stride, W / stride)}."""

    @property
    def size_divisibility(self) -> int:
        """Number that the height and width of the images must be a multiple of; 0: any."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Wishes for padding: `square_size` and `size_divisibility`, both optional."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each feature map that `forward` returns."""
        channels, strides = self._out_feature_channels, self._out_feature_strides
        return {
            name: ShapeSpec(channels=channels[name], stride=strides[name])
            for name in self._out_features
        }
