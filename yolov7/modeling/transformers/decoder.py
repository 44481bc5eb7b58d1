"""The decoder of DETR's transformer (arXiv:2005.12872, appendix A.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from yolov7.layers import MLP, MultiHeadAttention
from yolov7.modeling.transformers.residual import PostNormResidual, ResidualFactory


class TransformerDecoderLayer(nn.Module):
    """Self-attention of the queries, attention to the image, then a perceptron for each query."""

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int,
        feedforward_channels: int,
        dropout: float = 0.0,
        residual: ResidualFactory = PostNormResidual,
    ) -> None:
        """Arguments are `TransformerEncoderLayer`'s."""
        super().__init__()
        self.self_attention = MultiHeadAttention(channels, num_heads, dropout=dropout)
        self.self_residual = residual(channels, dropout)
        self.cross_attention = MultiHeadAttention(channels, num_heads, dropout=dropout)
        self.cross_residual = residual(channels, dropout)
        self.feedforward = MLP(
            channels, feedforward_channels, channels, num_layers=2, dropout=dropout
        )
        self.feedforward_residual = residual(channels, dropout)

    def forward(
        self, states: Tensor, queries: Tensor, keys: Tensor, memory: Tensor, padding: Tensor | None
    ) -> Tensor:
        """One step of the decoder.

        Args:
            states: (B, Q, D), what the queries have found so far.
            queries: (B, Q, D), the learned query vectors; they are told like positions.
            keys: (B, M, D), the memory with its positions.
            memory: (B, M, D), the encoder's cells.
            padding: (B, M) bool or None, as the encoder's.

        Returns:
            (B, Q, D).
        """

        def attend_to_queries(x: Tensor) -> Tensor:
            placed = x + queries
            return self.self_attention(placed, placed, x)

        def attend_to_image(x: Tensor) -> Tensor:
            return self.cross_attention(x + queries, keys, memory, padding)

        states = self.self_residual(states, attend_to_queries)
        states = self.cross_residual(states, attend_to_image)
        return self.feedforward_residual(states, self.feedforward)


class TransformerDecoder(nn.Module):
    """Layers one after another, of which every one is read through the same final norm."""

    def __init__(self, layers: list[nn.Module], *, norm: nn.Module) -> None:
        """
        Args:
            layers: each called as `TransformerDecoderLayer` is.
            norm: of what is read; the next layer gets the states without it.
        """
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self._first_read = 0

    def read_last_only(self) -> None:
        """From now on return the last layer's states alone, for inference."""
        self._first_read = len(self.layers) - 1

    def forward(
        self, states: Tensor, queries: Any, keys: Any, memory: Tensor, padding: Tensor | None
    ) -> Tensor:
        """Let the queries find their objects.

        Args:
            states: (B, Q, D), what the queries start with.
            queries, keys: what the layers take, the same for each of them; (B, Q, D) and (B, M, D)
                for `TransformerDecoderLayer`.
            memory: (B, M, D), the encoder's cells.
            padding: (B, M) bool, True on cells that are no part of an image, or None.

        Returns:
            (L, B, Q, D), of the layers that are read, the last one last.
        """
        read = []
        for layer in self.layers:
            states = layer(states, queries, keys, memory, padding)
            read.append(states)
        return self.norm(torch.stack(read[self._first_read :]))
