"""Anchor DETR's transformer: queries that start from points of the image (arXiv:2109.07107)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolov7.modeling.transformers.decoder import TransformerDecoder
from yolov7.modeling.transformers.encoder import TransformerEncoder


class AnchorTransformer(nn.Module):
    """Encodes a map and lets queries look at it, several ("patterns") from each anchor point.

    A pattern is what a query starts with, its point the only place that it ever is told; the codes
    of places are computed once for all layers. Queries are ordered by pattern, then point.
    """

    def __init__(
        self,
        *,
        channels: int,
        points: nn.Module,
        num_patterns: int,
        positions: nn.Module,
        encoder: TransformerEncoder,
        decoder: TransformerDecoder,
    ) -> None:
        """
        Args:
            channels: D.
            points: called without arguments gives the anchor points (N, 2), x and y in units of
                the image's width and height.
            num_patterns: queries that start from each point.
            positions: an object of `anchor_positions`, which knows what the layers take.
            encoder, decoder: of D channels, with layers that go with `positions`.
        """
        super().__init__()
        self.points = points
        self.patterns = nn.Parameter(torch.randn(num_patterns, channels))
        self.positions = positions
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, features: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: (B, D, H, W).
            padding: (B, H, W) bool, True on cells right of and below the image; None for no such
                cell, which gives the same faster.

        Returns:
            states of the queries (L, B, Q, D), the last layer's last, and their points (Q, 2).
        """
        cells = features.flatten(2).transpose(1, 2).contiguous()
        hidden = None
        if padding is None:
            padding = torch.zeros_like(features[:, 0], dtype=torch.bool)
        else:
            hidden = padding.flatten(1)
        positions = self.positions.of_cells(padding)
        memory = self.encoder(cells, positions, hidden)
        num_patterns, points = len(self.patterns), self.points()
        states = self.decoder(
            self.patterns.repeat_interleave(len(points), dim=0).expand(len(cells), -1, -1),
            self.positions.of_points(points, num_patterns),
            self.positions.keys(memory, positions),
            memory,
            hidden,
        )
        return states, points.repeat(num_patterns, 1)
