"""The encoder of DETR's transformer (arXiv:2005.12872, appendix A.3)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from yolov7.layers import MLP, MultiHeadAttention
from yolov7.modeling.transformers.residual import PostNormResidual, ResidualFactory


class TransformerEncoderLayer(nn.Module):
    """Self-attention of a map's cells, then a perceptron for each of them."""

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int,
        feedforward_channels: int,
        dropout: float = 0.0,
        residual: ResidualFactory = PostNormResidual,
    ) -> None:
        """
        Args:
            channels: D, of the cells.
            num_heads: of the attention.
            feedforward_channels: width inside the perceptron.
            dropout: in the attention, in the perceptron and on what both add.
            residual: makes the connections around both.
        """
        super().__init__()
        self.attention = MultiHeadAttention(channels, num_heads, dropout=dropout)
        self.attention_residual = residual(channels, dropout)
        self.feedforward = MLP(
            channels, feedforward_channels, channels, num_layers=2, dropout=dropout
        )
        self.feedforward_residual = residual(channels, dropout)

    def forward(self, cells: Tensor, positions: Tensor, padding: Tensor | None) -> Tensor:
        """Arguments and result are `TransformerEncoder`'s."""

        def attend(x: Tensor) -> Tensor:
            placed = x + positions
            return self.attention(placed, placed, x, padding)

        cells = self.attention_residual(cells, attend)
        return self.feedforward_residual(cells, self.feedforward)


class TransformerEncoder(nn.Module):
    """Layers one after another; positions are told anew to each, in queries and keys only."""

    def __init__(self, layers: list[nn.Module], *, norm: nn.Module | None = None) -> None:
        """
        Args:
            layers: each called as this is.
            norm: follows the last layer; None for layers that normalise what they return.
        """
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.Identity() if norm is None else norm

    def forward(self, cells: Tensor, positions: Any, padding: Tensor | None) -> Tensor:
        """Let the cells of each image learn from one another.

        Args:
            cells: (B, M, D).
            positions: where the cells lie, as the layers take it; (B, M, D) for
                `TransformerEncoderLayer`.
            padding: (B, M) bool, True on cells that are no part of an image; None for no such cell.

        Returns:
            (B, M, D).
        """
        for layer in self.layers:
            cells = layer(cells, positions, padding)
        return self.norm(cells)
