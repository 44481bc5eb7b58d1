"""Multi-head attention (Vaswani et al., arXiv:1706.03762, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolov7.utils.errors import ConfigError


class MultiHeadAttention(nn.Module):
    """Every query gathers values from the places whose keys are like it, once for each head.

    Letters: B images, N queries, M keys, D channels.

    The maps of query, key and value are one tensor of three blocks in this order, so that an
    initialisation by fan sees them as one map, as in the published models.
    """

    def __init__(self, channels: int, num_heads: int, *, dropout: float = 0.0) -> None:
        """
        Args:
            channels: D, of queries, keys, values and results.
            num_heads: parts that D is divided into, each with attention of its own.
            dropout: share of the attention weights that training sets to 0.

        Raises:
            ConfigError: the heads do not divide the channels.
        """
        super().__init__()
        if channels % num_heads:
            raise ConfigError(f"{num_heads} attention heads do not divide {channels} channels")
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

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
        heads = [
            functional.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip(
                (query, key, value),
                self.in_proj_weight.chunk(3),
                self.in_proj_bias.chunk(3),
                strict=True,
            )
        ]
        gathered = functional.scaled_dot_product_attention(
            *heads,
            attn_mask=None if padding is None else ~padding[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(gathered.transpose(1, 2).flatten(2))
