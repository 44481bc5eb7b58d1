"""Which boxes are still learned after augmentation has cut them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from yolov7.d2 import CfgNode

# Shorter sides count as so long; only boxes that are dropped anyway have them.
_TINY = 1e-9


@dataclass(frozen=True)
class BoxRule:
    """A box stays if all three hold.

    Attributes:
        min_side: both sides are longer; a number of pixels, or (width, height).
        min_visible: more than this share of its area is left.
        max_aspect: the longer side is less than so many times the shorter one.
    """

    min_side: float | tuple[float, float] = 1.0
    min_visible: float = 0.0
    max_aspect: float = math.inf

    def keeps(self, whole: np.ndarray, cut: np.ndarray) -> np.ndarray:
        """(N,) bool for (N, 4) xyxy boxes, whole and cut; without area they go."""
        sides, whole_sides = cut[:, 2:] - cut[:, :2], whole[:, 2:] - whole[:, :2]
        is_visible = sides.prod(axis=1) > self.min_visible * whole_sides.prod(axis=1)
        aspect = sides.max(axis=1) / np.maximum(sides.min(axis=1), _TINY)
        is_large = (sides > np.maximum(self.min_side, 0)).all(axis=1)
        return is_large & is_visible & (aspect < self.max_aspect)


DEFAULT_RULE = BoxRule()
# Whatever has an area.
ANY_BOX = BoxRule(min_side=0.0)


def build_box_rule(cfg: CfgNode) -> BoxRule:
    """INPUT.{MIN_BOX_SIDE, MIN_BOX_VISIBLE, MAX_BOX_ASPECT}."""
    return BoxRule(
        min_side=cfg.INPUT.MIN_BOX_SIDE,
        min_visible=cfg.INPUT.MIN_BOX_VISIBLE,
        max_aspect=cfg.INPUT.MAX_BOX_ASPECT,
    )
