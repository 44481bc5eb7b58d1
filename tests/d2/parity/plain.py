"""What a call gave, as data that json can hold and that compares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from yolov7 import d2


def plain(value: Any) -> Any:
    """Arrays, structures and configs as lists and dicts."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return [str(value.dtype), list(value.shape), value.tolist()]
    if isinstance(value, (d2.Boxes, d2.BitMasks)):
        return plain(value.tensor)
    if isinstance(value, d2.PolygonMasks):
        return plain(value.polygons)
    if isinstance(value, d2.Instances):
        return [list(value.image_size), plain(value.get_fields())]
    if isinstance(value, d2.ImageList):
        return [plain(value.tensor), plain(list(value.image_sizes))]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return type(value).__name__


def attempt(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The plain result of a call, or the name of its exception."""
    try:
        return plain(function(*args, **kwargs))
    except Exception as error:
        return f"raises {type(error).__name__}"
