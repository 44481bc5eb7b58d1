"""Perceptrons of several layers."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional


class MLP(nn.Module):
    """Linear layers with ReLU, and dropout in training, after each but the last.

    Maps (..., in_channels) to (..., out_channels). With two layers it is the feed-forward block of
    transformers (arXiv:1706.03762, section 3.3).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        num_layers: int,
        dropout: float = 0.0,
    ) -> None:
        """
        Args:
            in_channels, hidden_channels, out_channels: widths before, between and after.
            num_layers: linear layers.
            dropout: share of the values behind each ReLU that training sets to 0.
        """
        super().__init__()
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.dropout(functional.relu(layer(x)))
        return self.layers[-1](x)
