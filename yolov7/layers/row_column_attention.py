"""Row-column decoupled attention (Anchor DETR, arXiv:2109.07107, section 3.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.layers.attention import HeadedAttention

_NUMBERS_AT_ONCE = 2**21


class RowColumnAttention(HeadedAttention):
    """Attention to the cells of a map whose weights are a product: one along x, one along y.

    A query has two vectors. The first is compared with a key for every column of the map and tells
    where along a row to look, the second with a key for every row. The result is the mean of the
    values, weighted by the product of both softmaxes: H + W comparisons a query instead of H·W,
    and no map of weights for every query.

    The paper averages projected keys of single cells over the other axis. The projection is affine,
    so keys are averaged *before* it, by the caller, and here there is one for each column and row.
    """

    def __init__(self, channels: int, num_heads: int, *, dropout: float = 0.0) -> None:
        """Arguments and errors are `HeadedAttention`'s."""
        super().__init__(channels, num_heads, num_inputs=5, dropout=dropout)

    def forward(
        self,
        query_x: Tensor,
        query_y: Tensor,
        key_x: Tensor,
        key_y: Tensor,
        value: Tensor,
        padding: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            query_x, query_y: (B, Q, D), compared along x and along y.
            key_x: (B, W, D), the mean of each column's keys, padded cells included.
            key_y: (B, H, D), the mean of each row's keys, likewise.
            value: (B, H, W, D).
            padding: (B, H, W) bool, True where the map is padding, which lies right and below:
                its first row and first column say all. None where there is none.

        Returns:
            (B, Q, D).
        """
        query_x, query_y, key_x, key_y, value = self.to_heads(query_x, query_y, key_x, key_y, value)
        along_x = self._look(query_x, key_x, None if padding is None else padding[:, 0])
        along_y = self._look(query_y, key_y, None if padding is None else padding[:, :, 0])
        return self.from_heads(weighted_mean(along_x, along_y, value))

    def _look(self, query: Tensor, key: Tensor, padding: Tensor | None) -> Tensor:
        """(B, heads, Q, N): how much each query looks at each of N places along an axis."""
        logits = (query * query.shape[-1] ** -0.5) @ key.mT
        if padding is not None:
            logits = logits.masked_fill(padding[:, None, None], -torch.inf)
        return functional.dropout(logits.softmax(-1), self.dropout, self.training)


def weighted_mean(along_x: Tensor, along_y: Tensor, value: Tensor) -> Tensor:
    """Values of a map's cells, weighted by a product of weights along both axes.

    Args:
        along_x: (..., Q, W).
        along_y: (..., Q, H).
        value: (..., H, W, C).

    Returns:
        (..., Q, C): the sum of `along_y[q, y] · along_x[q, x] · value[y, x]` over x and y.
    """
    # The longer axis goes first, so that what remains for every query is the shorter one.
    if value.shape[-3] > value.shape[-2]:
        along_x, along_y, value = along_y, along_x, value.transpose(-3, -2)
    *leading, lines, _, channels = value.shape
    value = value.transpose(-3, -2).flatten(-2)

    def some(along_x: Tensor, along_y: Tensor) -> Tensor:
        per_line = (along_x @ value).unflatten(-1, (lines, channels))
        return (along_y.unsqueeze(-2) @ per_line).squeeze(-2)

    if value.device.type != "cpu":
        return some(along_x, along_y)
    # What lies between the two products is Q·H·C numbers: some queries at a time it stays in the
    # processor's cache, which is about twice as fast for large maps.
    count = max(1, _NUMBERS_AT_ONCE // (math.prod(leading) * lines * channels))
    parts = zip(along_x.split(count, -2), along_y.split(count, -2), strict=True)
    return torch.cat([some(*part) for part in parts], -2)
