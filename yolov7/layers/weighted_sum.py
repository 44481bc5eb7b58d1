"""Sums of maps with learned weights (Tan et al., EfficientDet, arXiv:1911.09070, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """A weighted mean of maps of one shape: "fast normalised fusion".

    Weights are w_i / (sum of all w + epsilon) of learned numbers w, negative ones taken as 0, which
    start equal. Maps tensors (B, C, H, W) to one.
    """

    def __init__(self, num_maps: int, *, epsilon: float = 1e-4) -> None:
        """
        Args:
            num_maps: how many maps are added.
            epsilon: keeps the division sound when all weights are 0.
        """
        super().__init__()
        self.weights = nn.Parameter(torch.ones(num_maps))
        self.epsilon = epsilon

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay must leave alone."""
        return {"weights"}

    def forward(self, *maps: Tensor) -> Tensor:
        positive = F.relu(self.weights)
        # Single numbers, unlike vectors, leave the maps' format as it is in mixed precision.
        shares = (positive / (positive.sum() + self.epsilon)).unbind()
        return sum(share * x for share, x in zip(shares, maps, strict=True))
