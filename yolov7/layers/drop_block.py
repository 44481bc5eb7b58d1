"""DropBlock (Ghiasi, Lin, Le, arXiv:1810.12890): dropout of whole squares of a map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.utils.expectations import expect


class DropBlock(nn.Module):
    """Sets squares of every channel to zero in training and scales what is left.

    Maps (B, C, H, W) to the same shape; each channel of each image has its own squares, which lie
    inside the map. Overlaps are not made up for, so slightly less than the asked share is dropped.

    Attributes:
        strength: buffer; by how much of its share the layer drops at present. It is 1 unless
            someone sets it from outside, as the trainer's hook `DropBlockRamp` does.
    """

    def __init__(self, *, share: float, block_size: int) -> None:
        """
        Args:
            share: of the cells to drop; the paper's 1 − keep_prob.
            block_size: side of the squares in cells; smaller maps are dropped as a whole.

        Raises:
            ConfigError: there can be no such share or side.
        """
        super().__init__()
        expect(0.0 <= share < 1.0, "the share that DropBlock drops", "in [0, 1)", share)
        expect(block_size >= 1, "the side of DropBlock's squares", "at least 1", block_size)
        self.share = share
        self.block_size = block_size
        self.register_buffer("strength", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        height, width = x.shape[-2:]
        side = min(self.block_size, height, width)
        # A seed is a square's top left corner; every place where a square fits has one.
        rows, columns = height - side + 1, width - side + 1
        seed_share = self.strength * (self.share * height * width / (side**2 * rows * columns))
        seeds = torch.rand((*x.shape[:2], rows, columns), device=x.device) < seed_share
        margin = side - 1
        dropped = F.max_pool2d(F.pad(seeds.float(), [margin] * 4), side, stride=1)
        kept = 1.0 - dropped
        scale = kept.numel() / kept.sum().clamp(min=1.0)
        return x * (kept * scale).to(x.dtype)

    def to_deploy(self) -> nn.Module:
        """Nothing is dropped after training."""
        return nn.Identity()

    def extra_repr(self) -> str:
        return f"share={self.share}, block_size={self.block_size}"
