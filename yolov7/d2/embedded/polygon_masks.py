"""`PolygonMasks`: instance masks as polygons, and their rasterisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch

from yolov7.d2.embedded.boxes import Boxes


def polygons_to_bitmask(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Rasterise the union of polygons by COCO's rule.

    Args:
        polygons: each x0, y0, x1, y1, ... in pixels.

    Returns:
        bool (height, width).
    """
    if len(polygons) == 0:
        return np.zeros((height, width), dtype=bool)
    parts = coco_mask.frPyObjects(list(polygons), height, width)
    return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


class PolygonMasks:
    """Masks of the objects of one image, each a list of polygons. They always live on the CPU.

    Attributes:
        polygons: per object a list of float64 arrays x0, y0, x1, y1, ...
    """

    def __init__(self, polygons: list[list[Any]]):
        """Take per object a list of polygons, each with an even number of at least 6 coordinates.

        Raises:
            ValueError: not a list of lists, or a polygon that is none.
        """
        if not isinstance(polygons, list):
            raise ValueError(f"Expected a list of objects, got {type(polygons).__name__}.")
        self.polygons = [_as_arrays(parts) for parts in polygons]

    def to(self, *args: Any, **kwargs: Any) -> PolygonMasks:
        """Return this object: polygons do not move."""
        return self

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def get_bounding_boxes(self) -> Boxes:
        """Tight boxes around the polygons; zeros for an object without any."""
        boxes = torch.zeros(len(self), 4)
        for row, parts in enumerate(self.polygons):
            if parts:
                points = torch.from_numpy(np.concatenate(parts)).float().view(-1, 2)
                boxes[row, :2], boxes[row, 2:] = points.amin(dim=0), points.amax(dim=0)
        return Boxes(boxes)

    def nonempty(self) -> torch.Tensor:
        """Say for each object (N,) whether it has polygons."""
        return torch.tensor([len(parts) > 0 for parts in self.polygons], dtype=torch.bool)

    def area(self) -> torch.Tensor:
        """Areas (N,) in square pixels: the sum over an object's polygons."""
        return torch.tensor([sum(map(_polygon_area, parts)) for parts in self.polygons])

    def __getitem__(self, item: int | slice | list[int] | torch.Tensor) -> PolygonMasks:
        """Select objects; an int gives masks of one object."""
        if isinstance(item, slice):
            return PolygonMasks(self.polygons[item])
        return PolygonMasks([self.polygons[index] for index in _as_indices(item)])

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yield the list of polygons of each object."""
        return iter(self.polygons)

    def __len__(self) -> int:
        return len(self.polygons)

    def __repr__(self) -> str:
        return f"PolygonMasks(num_instances={len(self)})"

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Rasterise each object inside its box on a square grid.

        Args:
            boxes: (N, 4), one per object.

        Returns:
            bool (N, mask_size, mask_size) on the boxes' device.
        """
        assert len(boxes) == len(self), f"{len(boxes)} boxes for {len(self)} masks"
        if len(self) == 0:
            return torch.empty(0, mask_size, mask_size, dtype=torch.bool, device=boxes.device)
        corners = boxes.detach().cpu().double().numpy()
        masks = [
            _rasterize_in_box(parts, box, mask_size)
            for parts, box in zip(self.polygons, corners, strict=True)
        ]
        return torch.from_numpy(np.stack(masks)).to(boxes.device)

    @staticmethod
    def cat(polymasks_list: Sequence[PolygonMasks]) -> PolygonMasks:
        """Join masks of a list that is not empty."""
        assert isinstance(polymasks_list, (list, tuple))
        assert len(polymasks_list) > 0, "Nothing to join."
        assert all(isinstance(masks, PolygonMasks) for masks in polymasks_list)
        return type(polymasks_list[0])([parts for masks in polymasks_list for parts in masks])


def _as_arrays(parts: list[Any]) -> list[np.ndarray]:
    if not isinstance(parts, list):
        raise ValueError(f"Expected a list of polygons per object, got {type(parts).__name__}.")
    arrays = []
    for part in parts:
        part = part.cpu().numpy() if isinstance(part, torch.Tensor) else part
        array = np.array(part, dtype=np.float64)
        if len(array) < 6 or len(array) % 2 != 0:
            raise ValueError(f"A polygon needs 6, 8, ... coordinates, got {len(array)}.")
        arrays.append(array)
    return arrays


def _as_indices(item: int | list[int] | torch.Tensor) -> list[int]:
    if isinstance(item, torch.Tensor):
        if item.dtype == torch.bool:
            assert item.dim() == 1, item.shape
            return item.nonzero()[:, 0].tolist()
        if item.dtype in (torch.int32, torch.int64):
            return item.reshape(-1).tolist()
        raise ValueError(f"Masks cannot be indexed by a tensor of {item.dtype}.")
    return item if isinstance(item, list) else [item]


def _polygon_area(polygon: np.ndarray) -> float:
    """Area inside a simple polygon: half the sum of its edges' cross products."""
    x, y = polygon[0::2], polygon[1::2]
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    return abs(float((x * next_y - next_x * y).sum())) / 2


def _rasterize_in_box(parts: list[np.ndarray], box: np.ndarray, mask_size: int) -> np.ndarray:
    # A tenth of a pixel is the thinnest box: thinner ones would blow the coordinates up.
    scale = mask_size / np.maximum(box[2:] - box[:2], 0.1)
    moved = [((part.reshape(-1, 2) - box[:2]) * scale).reshape(-1) for part in parts]
    return polygons_to_bitmask(moved, mask_size, mask_size)
