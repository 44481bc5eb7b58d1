"""Multi-head attention (Vaswani et al., arXiv:1706.03762, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolov7.utils.errors import ConfigError


class HeadedAttention(nn.Module):
    """What every attention with heads has: maps of its inputs, divided among heads, and of results.

    The maps of all inputs are one tensor of as many blocks, in their order, so that an
    initialisation by fan sees them as one map, as in the published models.
    """

    def __init__(
        self, channels: int, num_heads: int, *, num_inputs: int, dropout: float = 0.0
    ) -> None:
        """
        Args:
            channels: D, of inputs and results.
            num_heads: parts that D is divided into, each with attention of its own.
            num_inputs: how many inputs there are, queries, keys and values.
            dropout: share of the attention weights that training sets to 0.

        Raises:
            ConfigError: the heads do not divide the channels.
        """
        super().__init__()
        if channels % num_heads:
            raise ConfigError(f"{num_heads} attention heads do not divide {channels} channels")
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(num_inputs * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(num_inputs * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def to_heads(self, *inputs: Tensor) -> list[Tensor]:
        """Map inputs (B, ..., D), each by its own block, to (B, heads, ..., D / heads)."""
        blocks = (tensor.chunk(len(inputs)) for tensor in (self.in_proj_weight, self.in_proj_bias))
        return [
            functional.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).movedim(-2, 1)
            for x, weight, bias in zip(inputs, *blocks, strict=True)
        ]

    def from_heads(self, gathered: Tensor) -> Tensor:
        """Map results (B, heads, N, D / heads) to (B, N, D)."""
        return self.out_proj(gathered.transpose(1, 2).flatten(2))


class MultiHeadAttention(HeadedAttention):
    """Every query gathers values from the places whose keys are like it, once for each head.

    Letters: B images, N queries, M keys, D channels.
    """

    def __init__(self, channels: int, num_heads: int, *, dropout: float = 0.0) -> None:
        """Arguments and errors are `HeadedAttention`'s."""
        super().__init__(channels, num_heads, num_inputs=3, dropout=dropout)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, N, D).
            key, value: (B, M, D).
            padding: (B, M) bool, True where no query may look; None where all may.

        Returns:
            (B, N, D).
        """
        gathered = functional.scaled_dot_product_attention(
            *self.to_heads(query, key, value),
            attn_mask=None if padding is None else ~padding[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.from_heads(gathered)
