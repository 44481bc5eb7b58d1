"""The anchors of a dense head: checked numbers of the config that stay float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from yolov7.utils.expectations import expect, is_size


class Anchors(nn.Module):
    """Widths and heights that boxes are counted from, equally many for each level.

    Attributes:
        sizes: ``(L, A, 2)`` width and height in pixels, float32 on the module's device. Not in the
            state dict: they belong to the config.
    """

    def __init__(
        self, sizes: Sequence[Sequence[Sequence[float]]], *, strides: Sequence[int]
    ) -> None:
        """
        Args:
            sizes: (width, height) in pixels of each anchor of each level.
            strides: of the levels, ascending.

        Raises:
            ConfigError: they are no such lists, do not fit the levels, or stand in the wrong order.
        """
        super().__init__()
        self._given = _checked(sizes, strides)
        self.register_buffer("sizes", torch.tensor(self._given).float(), persistent=False)

    @property
    def num_anchors(self) -> int:
        """A, the anchors of a level."""
        return self.sizes.shape[1]

    def of_predictions(
        self, level_sizes: Sequence[tuple[int, int]], *, dtype: torch.dtype
    ) -> Tensor:
        """Width and height ``(P, 2)`` for each prediction, in the order level, anchor, cell."""
        return torch.cat(
            [
                anchors.to(dtype).repeat_interleave(rows * columns, dim=0)
                for anchors, (rows, columns) in zip(self.sizes, level_sizes, strict=True)
            ]
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Anchors:
        """Follow to another device but stay float32: half would round the sizes."""
        super()._apply(fn, recurse)
        self.sizes = torch.tensor(self._given, dtype=torch.float32, device=self.sizes.device)
        return self


def _checked(
    anchors: Sequence[Sequence[Sequence[float]]], strides: Sequence[int]
) -> list[list[list[float]]]:
    key = "MODEL.YOLO.ANCHORS"
    is_nested = all(isinstance(level, list | tuple) for level in anchors)
    fits = (
        is_nested
        and len(anchors) == len(strides)
        and len({len(level) for level in anchors}) == 1
        and len(anchors[0]) > 0
        and all(is_size(pair) for level in anchors for pair in level)
    )
    wanted = f"for each of the strides {list(strides)} equally many [width, height] in pixels"
    expect(fits, key, wanted, anchors)
    areas = [sum(width * height for width, height in level) for level in anchors]
    wanted = f"the smallest anchors first, for stride {strides[0]}"
    expect(areas[0] <= areas[-1], key, wanted, anchors)
    return [[list(pair) for pair in level] for level in anchors]
