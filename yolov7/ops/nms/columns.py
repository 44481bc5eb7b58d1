"""Boxes as four arrays, for loops of many small steps, in which numpy is quicker than torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Columns:
    """Boxes xyxy as arrays of any shape, all alike, with their areas."""

    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray
    area: np.ndarray

    @classmethod
    def of(cls, boxes: np.ndarray) -> Columns:
        """Those of boxes ``(..., 4)``; sides that are turned inside out have length 0."""
        x0, y0, x1, y1 = (np.ascontiguousarray(boxes[..., side]) for side in range(4))
        return cls(x0, y0, x1, y1, np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0))

    def __getitem__(self, key: Any) -> Columns:
        """The boxes at an index of any of numpy's kinds."""
        return Columns(self.x0[key], self.y0[key], self.x1[key], self.y1[key], self.area[key])

    def put(self, key: Any, boxes: np.ndarray) -> None:
        """Exchange the boxes at an index for others, ``(..., 4)`` xyxy."""
        new = Columns.of(boxes)
        self.x0[key], self.y0[key], self.x1[key], self.y1[key] = new.x0, new.y0, new.x1, new.y1
        self.area[key] = new.area


def iou(first: Columns, second: Columns) -> np.ndarray:
    """IoU of boxes whose shapes are broadcast; 0 where neither has an area."""
    width = np.minimum(first.x1, second.x1) - np.maximum(first.x0, second.x0)
    height = np.minimum(first.y1, second.y1) - np.maximum(first.y0, second.y0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    return shared / np.maximum(first.area + second.area - shared, _TINY)
