"""Geometry of polygons."""

from __future__ import annotations

import numpy as np


def clip_polygon(polygon: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a polygon inside a box (Sutherland and Hodgman 1974).

    A concave polygon that falls into several parts stays one polygon whose parts are joined along
    the box's rim, which encloses no area.

    Args:
        polygon: (P, 2) points (x, y) in order, not closed.
        box: xyxy.

    Returns:
        (Q, 2) points; (0, 2) if nothing is inside.
    """
    x0, y0, x1, y1 = box
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if low[0] >= x0 and low[1] >= y0 and high[0] <= x1 and high[1] <= y1:
        return polygon
    for axis, bound, sign in ((0, x0, 1.0), (0, x1, -1.0), (1, y0, 1.0), (1, y1, -1.0)):
        polygon = _clip_half_plane(polygon, axis, bound, sign)
    return polygon


def _clip_half_plane(polygon: np.ndarray, axis: int, bound: float, sign: float) -> np.ndarray:
    """Keep sign * (coordinate - bound) >= 0."""
    if len(polygon) == 0:
        return polygon
    distances = sign * (polygon[:, axis] - bound)
    inside = distances >= 0
    if inside.all():
        return polygon
    following = np.roll(polygon, -1, axis=0)
    following_distances = np.roll(distances, -1)
    crosses = inside != np.roll(inside, -1)
    steps = distances - following_distances
    share = np.divide(distances, steps, out=np.zeros_like(steps), where=crosses)
    crossings = polygon + share[:, None] * (following - polygon)
    crossings[:, axis] = bound
    # Each edge gives its start point if that is inside, then its crossing if it has one.
    points = np.stack([polygon, crossings], axis=1).reshape(-1, 2)
    return points[np.stack([inside, crosses], axis=1).reshape(-1)]
