"""`BitMasks`: instance masks as bitmaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from yolov7.d2.embedded.boxes import Boxes
from yolov7.d2.embedded.mask_crop import crop_and_resize_masks
from yolov7.d2.embedded.polygon_masks import PolygonMasks, polygons_to_bitmask


class BitMasks:
    """Masks of the objects of one image.

    Attributes:
        tensor: bool (N, H, W).
        image_size: (H, W).
    """

    def __init__(self, tensor: torch.Tensor | np.ndarray):
        """Wrap masks (N, H, W); whatever is not zero is part of the object."""
        tensor = torch.as_tensor(tensor).to(torch.bool)
        assert tensor.dim() == 3, tensor.shape
        self.tensor = tensor
        self.image_size = tensor.shape[1:]

    def to(self, *args: Any, **kwargs: Any) -> BitMasks:
        """Return the masks on another device."""
        return BitMasks(self.tensor.to(*args, **kwargs))

    @property
    def device(self) -> torch.device:
        """Device of the tensor."""
        return self.tensor.device

    def __getitem__(self, item: Any) -> BitMasks:
        """Select masks; an int gives one mask."""
        if isinstance(item, int):
            item = [item]
        selected = self.tensor[item]
        assert selected.dim() == 3, f"Indexing with {item} does not give masks: {selected.shape}"
        return BitMasks(selected)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield the masks (H, W) one by one."""
        yield from self.tensor

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __repr__(self) -> str:
        return f"BitMasks(num_instances={len(self)})"

    def nonempty(self) -> torch.Tensor:
        """Say for each mask (N,) whether it has a pixel."""
        return self.tensor.flatten(1).any(dim=1)

    @staticmethod
    def from_polygon_masks(
        polygon_masks: PolygonMasks | list[list[np.ndarray]], height: int, width: int
    ) -> BitMasks:
        """Rasterise polygons by COCO's rule."""
        bitmaps = np.zeros((len(polygon_masks), height, width), dtype=bool)
        for row, polygons in enumerate(polygon_masks):
            bitmaps[row] = polygons_to_bitmask(polygons, height, width)
        return BitMasks(bitmaps)

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Resample each mask inside its box on a square grid.

        Args:
            boxes: (N, 4), one per mask.

        Returns:
            bool (N, mask_size, mask_size).
        """
        assert len(boxes) == len(self), f"{len(boxes)} boxes for {len(self)} masks"
        return crop_and_resize_masks(self.tensor, boxes.to(self.device), mask_size) >= 0.5

    def get_bounding_boxes(self) -> Boxes:
        """Tight boxes, the right and bottom edge behind the last pixel; zeros for empty masks."""
        sides = [_first_and_end(self.tensor.any(dim=1)), _first_and_end(self.tensor.any(dim=2))]
        return Boxes(torch.stack(sides, dim=2).flatten(1).float())

    @staticmethod
    def cat(bitmasks_list: Sequence[BitMasks]) -> BitMasks:
        """Join masks of one image size, from a list that is not empty."""
        assert isinstance(bitmasks_list, (list, tuple))
        assert len(bitmasks_list) > 0, "Nothing to join."
        assert all(isinstance(masks, BitMasks) for masks in bitmasks_list)
        return type(bitmasks_list[0])(torch.cat([masks.tensor for masks in bitmasks_list]))


def _first_and_end(occupied: torch.Tensor) -> torch.Tensor:
    """Of each row of a bool (N, L): index of the first True and one behind the last; else zeros."""
    length = occupied.shape[1]
    positions = torch.arange(length, device=occupied.device)
    first = torch.where(occupied, positions, length)
    end = torch.where(occupied, positions + 1, 0)
    if length == 0:
        return occupied.new_zeros((len(occupied), 2), dtype=torch.int64)
    bounds = torch.stack((first.amin(dim=1), end.amax(dim=1)), dim=1)
    return bounds * occupied.any(dim=1, keepdim=True)
