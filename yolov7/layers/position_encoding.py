"""What tells a transformer where the cells of a map lie."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from yolov7.layers.sine_codes import sine_codes
from yolov7.utils.errors import ConfigError

PositionEncodingFactory = Callable[[int], nn.Module]
"""Makes a position encoding for a number of channels."""


class SinePositionEncoding(nn.Module):
    """Sines and cosines of many wavelengths of a cell's row and column (DETR, arXiv:2005.12872).

    Rows and columns are counted from 1 and divided by the image's own last one, padding left out,
    so that 2π is the image's end whatever its size. Maps a padding mask (B, h, w), True on padding,
    to (B, h, w, D): D / 2 channels of the row, then as many of the column, sine and cosine of each
    frequency in turn. Always computed in float32.
    """

    def __init__(self, channels: int, *, temperature: float = 10000.0) -> None:
        """
        Args:
            channels: D.
            temperature: ratio of the longest wavelength to the shortest, nearly.

        Raises:
            ConfigError: D is no multiple of 4.
        """
        super().__init__()
        if channels % 4:
            raise ConfigError(
                "MODEL.NECK.CHANNELS: a sine encoding wants a multiple of 4 channels, got "
                f"{channels}"
            )
        self.channels = channels
        self.temperature = temperature

    def forward(self, padding: Tensor) -> Tensor:
        inside = ~padding
        codes = []
        for axis in (1, 2):
            place = inside.cumsum(axis, dtype=torch.float32)
            # The small number keeps rows and columns without any image from 0 / 0.
            angles = place / (place.narrow(axis, -1, 1) + 1e-6) * (2 * math.pi)
            codes.append(sine_codes(angles, self.channels // 2, temperature=self.temperature))
        return torch.cat(codes, dim=3)


class LearnedPositionEncoding(nn.Module):
    """A learned vector for each row and for each column.

    Maps a padding mask (B, h, w) to (B, h, w, D): D / 2 channels of the column, then as many of the
    row, which is the other way round than in `SinePositionEncoding`. The same for every image.
    """

    def __init__(self, channels: int, *, most: int = 50) -> None:
        """
        Args:
            channels: D, even.
            most: rows and columns that there are vectors for.
        """
        super().__init__()
        self.rows = nn.Embedding(most, channels // 2)
        self.columns = nn.Embedding(most, channels // 2)
        nn.init.uniform_(self.rows.weight)
        nn.init.uniform_(self.columns.weight)

    def forward(self, padding: Tensor) -> Tensor:
        """Look the vectors up.

        Raises:
            ConfigError: the map has more rows or columns than there are vectors.
        """
        images, height, width = padding.shape
        most = self.rows.num_embeddings
        if max(height, width) > most:
            raise ConfigError(
                f"learned positions reach to maps of {most} x {most} cells, got {height} x "
                f"{width}: give smaller pictures, a coarser stride, or take sine positions"
            )
        columns = self.columns.weight[:width].expand(height, -1, -1)
        rows = self.rows.weight[:height, None].expand(-1, width, -1)
        return torch.cat([columns, rows], dim=2).expand(images, -1, -1, -1)


POSITION_ENCODINGS: dict[str, PositionEncodingFactory] = {
    "sine": SinePositionEncoding,
    "learned": LearnedPositionEncoding,
}
"""Position encodings by the names that configs give."""
