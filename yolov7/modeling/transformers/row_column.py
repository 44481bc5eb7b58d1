"""Layers of Anchor DETR's transformer with row-column attention (arXiv:2109.07107)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from yolov7.layers import MLP, MultiHeadAttention, RowColumnAttention
from yolov7.modeling.transformers.residual import PostNormResidual


class AlongAxes(NamedTuple):
    """Something for every column of a map, `x` (B, W, ...), and for every row, `y` (B, H, ...)."""

    x: Tensor
    y: Tensor


class PointCodes(NamedTuple):
    """Codes (Q, D) of points: of both numbers together, of x alone and of y alone."""

    plane: Tensor
    x: Tensor
    y: Tensor


def axis_means(cells: Tensor, codes: AlongAxes) -> AlongAxes:
    """The keys of `RowColumnAttention`: the mean cell of each column and row, with its place.

    Args:
        cells: (B, H·W, D) in rows.
        codes: of the columns (B, W, D) and rows (B, H, D).
    """
    grid = cells.unflatten(1, (codes.y.shape[1], codes.x.shape[1]))
    return AlongAxes(grid.mean(1) + codes.x, grid.mean(2) + codes.y)


class RowColumnEncoderLayer(nn.Module):
    """Row-column attention of a map's cells to the map, then a perceptron for each of them."""

    def __init__(
        self, channels: int, *, num_heads: int, feedforward_channels: int, dropout: float = 0.0
    ) -> None:
        """
        Args:
            channels: D, of the cells.
            num_heads: of the attention.
            feedforward_channels: width inside the perceptron.
            dropout: in the attention, in the perceptron and on what both add.
        """
        super().__init__()
        self.attention = RowColumnAttention(channels, num_heads, dropout=dropout)
        self.attention_residual = PostNormResidual(channels, dropout)
        self.feedforward = MLP(
            channels, feedforward_channels, channels, num_layers=2, dropout=dropout
        )
        self.feedforward_residual = PostNormResidual(channels, dropout)

    def forward(self, cells: Tensor, positions: AlongAxes, padding: Tensor | None) -> Tensor:
        """
        Args:
            cells: (B, H·W, D) in rows.
            positions: codes of the columns (B, W, D) and rows (B, H, D).
            padding: (B, H·W) bool, True on cells that are no part of an image, or None.

        Returns:
            (B, H·W, D).
        """
        size = positions.y.shape[1], positions.x.shape[1]

        def attend(x: Tensor) -> Tensor:
            grid = x.unflatten(1, size)
            return self.attention(
                (grid + positions.x[:, None]).flatten(1, 2),
                (grid + positions.y[:, :, None]).flatten(1, 2),
                *axis_means(x, positions),
                grid,
                None if padding is None else padding.unflatten(1, size),
            )

        cells = self.attention_residual(cells, attend)
        return self.feedforward_residual(cells, self.feedforward)


class RowColumnDecoderLayer(nn.Module):
    """Self-attention of the queries, row-column attention to the image, then a perceptron."""

    def __init__(
        self, channels: int, *, num_heads: int, feedforward_channels: int, dropout: float = 0.0
    ) -> None:
        """Arguments are `RowColumnEncoderLayer`'s."""
        super().__init__()
        self.self_attention = MultiHeadAttention(channels, num_heads, dropout=dropout)
        self.self_residual = PostNormResidual(channels, dropout)
        self.cross_attention = RowColumnAttention(channels, num_heads, dropout=dropout)
        self.cross_residual = PostNormResidual(channels, dropout)
        self.feedforward = MLP(
            channels, feedforward_channels, channels, num_layers=2, dropout=dropout
        )
        self.feedforward_residual = PostNormResidual(channels, dropout)

    def forward(
        self,
        states: Tensor,
        queries: PointCodes,
        keys: AlongAxes,
        memory: Tensor,
        padding: Tensor | None,
    ) -> Tensor:
        """
        Args:
            states: (B, Q, D), what the queries have found so far.
            queries: codes (Q, D) of their points.
            keys: `axis_means` of the memory, for W columns and H rows.
            memory: (B, H·W, D), the encoder's cells in rows.
            padding: (B, H·W) bool or None, as the encoder's.

        Returns:
            (B, Q, D).
        """
        size = keys.y.shape[1], keys.x.shape[1]

        def attend_to_queries(x: Tensor) -> Tensor:
            placed = x + queries.plane
            return self.self_attention(placed, placed, x)

        def attend_to_image(x: Tensor) -> Tensor:
            hidden = None if padding is None else padding.unflatten(1, size)
            grid = memory.unflatten(1, size)
            return self.cross_attention(x + queries.x, x + queries.y, *keys, grid, hidden)

        states = self.self_residual(states, attend_to_queries)
        states = self.cross_residual(states, attend_to_image)
        return self.feedforward_residual(states, self.feedforward)
