"""DETR's head for masks (arXiv:2005.12872, section 4.4)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolov7.utils.errors import ConfigError

NORM_GROUPS = 8
"""Of the group norms, each with the same number of channels."""


class AttentionMaps(nn.Module):
    """Where in the image each query looks: attention weights alone, nothing is gathered.

    The weights of a query add up to 1 over all heads and cells together.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        """
        Args:
            channels: D, of queries and cells.
            num_heads: maps of each query.

        Raises:
            ConfigError: the heads do not divide the channels.
        """
        super().__init__()
        if channels % num_heads:
            raise ConfigError(f"{num_heads} attention heads do not divide {channels} channels")
        self.num_heads = num_heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        """Compare queries with cells.

        Args:
            states: (B, Q, D).
            memory: (B, h, w, D), the encoder's cells.
            padding: (B, h, w) bool, True on cells that are no part of an image.

        Returns:
            (B, Q, heads, h, w), weights.
        """
        queries = self.query(states).unflatten(-1, (self.num_heads, -1))
        keys = self.key(memory).unflatten(-1, (self.num_heads, -1))
        queries = queries / math.sqrt(queries.shape[-1])
        likeness = torch.einsum("bqnd,bhwnd->bqnhw", queries, keys)
        likeness = likeness.masked_fill(padding[:, None, None], -math.inf)
        return likeness.flatten(2).softmax(dim=-1).view(likeness.shape)


class DETRMaskHead(nn.Module):
    """A small pyramid that turns each query's attention maps into one mask.

    At the coarsest map it starts from the image's cells beside the query's attention; at each finer
    one what it has is enlarged and the backbone's map added, the same for every query.
    """

    def __init__(self, channels: int, num_heads: int, *, context_channels: Sequence[int]) -> None:
        """
        Args:
            channels: D, of the projected map, of queries and of the encoder's cells.
            num_heads: of the attention maps.
            context_channels: of the finer maps of the backbone, three in the paper, the coarsest
                first. Each halves the width of what it is added to.

        Raises:
            ConfigError: there is no finer map, or D is too small for the groups of the norms.
        """
        super().__init__()
        if not context_channels:
            raise ConfigError(
                "MODEL.NECK.IN_STRIDES: masks want finer maps beside the transformer's, which is "
                "the coarsest, got one stride; [4, 8, 16, 32] is the paper's"
            )
        halvings = range(1, len(context_channels) + 2)
        multiple = NORM_GROUPS * 2 ** halvings[-1]
        if channels % multiple or num_heads % NORM_GROUPS:
            raise ConfigError(
                f"masks over {len(context_channels)} finer maps want MODEL.NECK.CHANNELS a "
                f"multiple of {multiple} and MODEL.DETR.NHEADS of {NORM_GROUPS} for their norms, "
                f"got {channels} and {num_heads}"
            )
        self.attention = AttentionMaps(channels, num_heads)
        start = channels + num_heads
        widths = [start, start, *(channels // 2**times for times in halvings)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, width) for width in widths[1:])
        self.adapters = nn.ModuleList(
            nn.Conv2d(before, after, 1)
            for before, after in zip(context_channels, widths[2:-1], strict=True)
        )
        self.predictor = nn.Conv2d(widths[-1], 1, 3, padding=1)
        for conv in (*self.convs, *self.adapters, self.predictor):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(
        self,
        states: Tensor,
        memory: Tensor,
        padding: Tensor,
        projected: Tensor,
        context: Sequence[Tensor],
    ) -> Tensor:
        """Predict a mask for each query.

        Args:
            states: (B, Q, D), of the decoder's last layer.
            memory: (B, h, w, D), the encoder's cells.
            padding: (B, h, w) bool, True on cells that are no part of an image.
            projected: (B, D, h, w), what went into the encoder.
            context: maps (B, C, ...) of the backbone, the coarsest first.

        Returns:
            (B, Q, H, W) logits at the size of the finest map.
        """
        attention = self.attention(states, memory, padding)
        # The part of the first convolution that is the same for every query is computed once.
        shared_weight, query_weight = self.convs[0].weight.split(
            [projected.shape[1], attention.shape[2]], dim=1
        )
        shared = functional.conv2d(projected, shared_weight, self.convs[0].bias, padding=1)
        contexts = [adapt(x) for adapt, x in zip(self.adapters, context, strict=True)]
        # Image by image: the maps of all queries are what needs memory.
        masks = []
        for index, maps in enumerate(attention):
            x = shared[index] + functional.conv2d(maps, query_weight, padding=1)
            x = functional.relu(self.norms[0](x))
            x = functional.relu(self.norms[1](self.convs[1](x)))
            for conv, norm, finer in zip(self.convs[2:], self.norms[2:], contexts, strict=True):
                x = finer[index] + functional.interpolate(x, size=finer.shape[-2:])
                x = functional.relu(norm(conv(x)))
            masks.append(self.predictor(x)[:, 0])
        return torch.stack(masks)
