"""Where normalisation stands around a branch of a transformer's layer."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Branch = Callable[[Tensor], Tensor]
"""What is added to its own input."""

ResidualFactory = Callable[[int, float], nn.Module]
"""Makes a residual connection of so many channels and so much dropout."""


class PostNormResidual(nn.Module):
    """x ↦ norm(x + branch(x)), as in the first transformers; the stream itself is normalised."""

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        """
        Args:
            channels: of x.
            dropout: share of the branch that training sets to 0.
        """
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, branch: Branch) -> Tensor:
        return self.norm(x + self.dropout(branch(x)))


class PreNormResidual(nn.Module):
    """x ↦ x + branch(norm(x)); the stream is not normalised, so a norm follows the last layer."""

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        """Arguments are `PostNormResidual`'s."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, branch: Branch) -> Tensor:
        return x + self.dropout(branch(self.norm(x)))
