"""How Anchor DETR tells places: cells of maps and anchor points alike (arXiv:2109.07107).

Places are numbers: x and y in units of the image's width and height, padding left out. An object
of this module turns them into what the layers of one kind of attention take, and knows these
layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from yolov7.layers import MLP
from yolov7.layers.sine_codes import sine_codes
from yolov7.modeling.transformers.decoder import TransformerDecoderLayer
from yolov7.modeling.transformers.encoder import TransformerEncoderLayer
from yolov7.modeling.transformers.row_column import (
    AlongAxes,
    PointCodes,
    RowColumnDecoderLayer,
    RowColumnEncoderLayer,
    axis_means,
)
from yolov7.ops.box_ops import at_least_float32


def cell_places(padding: Tensor) -> AlongAxes:
    """Where the middles of a map's cells lie.

    Args:
        padding: (B, H, W) bool, True on cells right of and below the image.

    Returns:
        x (B, W) and y (B, H) in (0, 1), float32; padding gets the last cell's.
    """

    def middles(inside: Tensor) -> Tensor:
        counted = inside.cumsum(1, dtype=torch.float32)
        return (counted - 0.5) / counted[:, -1:]

    return AlongAxes(middles(~padding[:, 0]), middles(~padding[:, :, 0]))


class AxisCode(nn.Module):
    """A learned function of sines and cosines of a number: (...) in about [0, 1] to (..., D)."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: D.
        """
        super().__init__()
        self.channels = channels
        self.mlp = MLP(channels, channels, channels, num_layers=2)

    def forward(self, places: Tensor) -> Tensor:
        codes = sine_codes(at_least_float32(places) * (2 * math.pi), self.channels)
        return self.mlp(codes.to(self.mlp.layers[0].weight.dtype))


class PlaneCode(nn.Module):
    """The same of two numbers, half of the channels for y and half for x, in this order."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: D.
        """
        super().__init__()
        self.channels = channels
        self.mlp = MLP(channels, channels, channels, num_layers=2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(...) and (...), which broadcast, to (..., D)."""
        codes = [
            sine_codes(at_least_float32(places) * (2 * math.pi), self.channels // 2)
            for places in torch.broadcast_tensors(y, x)
        ]
        return self.mlp(torch.cat(codes, dim=-1).to(self.mlp.layers[0].weight.dtype))


class PlanePositions(nn.Module):
    """One code a place, for attention of every query to every cell."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: D.
        """
        super().__init__()
        self.plane = PlaneCode(channels)

    def of_cells(self, padding: Tensor) -> Tensor:
        """Codes (B, H·W, D) of the cells of a map with the padding mask (B, H, W)."""
        x, y = cell_places(padding)
        return self.plane(x[:, None], y[:, :, None]).flatten(1, 2)

    def of_points(self, points: Tensor, repeats: int) -> Tensor:
        """Codes (repeats·N, D) of points (N, 2), all of them after one another `repeats` times."""
        return self.plane(*points.unbind(1)).repeat(repeats, 1)

    def keys(self, memory: Tensor, codes: Tensor) -> Tensor:
        """What the decoder's queries are compared with: cells (B, H·W, D) with their codes."""
        return memory + codes


class RowColumnPositions(nn.Module):
    """Codes of x and of y alone, by the same function, for row-column attention.

    Points have a code of both together as well, for the attention between queries.
    """

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: D.
        """
        super().__init__()
        self.plane = PlaneCode(channels)
        self.axis = AxisCode(channels)

    def of_cells(self, padding: Tensor) -> AlongAxes:
        """Codes of the columns and rows of a map with the padding mask (B, H, W)."""
        return AlongAxes(*map(self.axis, cell_places(padding)))

    def of_points(self, points: Tensor, repeats: int) -> PointCodes:
        """Codes of points (N, 2), all of them after one another `repeats` times."""
        x, y = points.unbind(1)
        codes = self.plane(x, y), self.axis(x), self.axis(y)
        return PointCodes(*(code.repeat(repeats, 1) for code in codes))

    def keys(self, memory: Tensor, codes: AlongAxes) -> AlongAxes:
        """What the decoder's queries are compared with: mean cells with their codes."""
        return axis_means(memory, codes)


class AttentionKind(NamedTuple):
    """What belongs together: positions, called with D, and the layers that take them."""

    positions: type[nn.Module]
    encoder_layer: type[nn.Module]
    decoder_layer: type[nn.Module]


ATTENTIONS: dict[str, AttentionKind] = {
    "row_column": AttentionKind(RowColumnPositions, RowColumnEncoderLayer, RowColumnDecoderLayer),
    "plain": AttentionKind(PlanePositions, TransformerEncoderLayer, TransformerDecoderLayer),
}
"""Names of the configs."""
