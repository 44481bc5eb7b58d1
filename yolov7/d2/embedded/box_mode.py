"""`BoxMode`: the ways four (or five) numbers can mean a box."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TypeVar

import numpy as np
import torch

_Box = TypeVar("_Box", list, tuple, np.ndarray, torch.Tensor)


@unique
class BoxMode(IntEnum):
    """Meaning of a box's numbers; coordinates are continuous, so a width is x1 - x0.

    The relative modes exist in records only by number: nothing converts them. `XYWHA_ABS` is a
    rotated box: center, size, and angle in degrees counter-clockwise.
    """

    XYXY_ABS = 0
    XYWH_ABS = 1
    XYXY_REL = 2
    XYWH_REL = 3
    XYWHA_ABS = 4

    @staticmethod
    def convert(box: _Box, from_mode: BoxMode | int, to_mode: BoxMode | int) -> _Box:
        """Convert one box, or an (N, 4) or (N, 5) array of boxes.

        Args:
            box: a list or tuple of 4 or 5 numbers, or an array or tensor of boxes.

        Returns:
            The same kind of container with the same dtype; a copy, unless the modes are equal.

        Raises:
            AssertionError: a wrong number of values, or a relative mode.
            NotImplementedError: a conversion that is not defined.
        """
        if from_mode == to_mode:
            return box
        from_mode, to_mode = BoxMode(from_mode), BoxMode(to_mode)
        if isinstance(box, (list, tuple)):
            _check(len(box) in (4, 5), f"A box has 4 or 5 numbers, got {box!r}")
            converted = _convert_tensor(torch.tensor(box)[None], from_mode, to_mode)
            return type(box)(converted.flatten().tolist())
        if isinstance(box, np.ndarray):
            return _convert_tensor(torch.from_numpy(box.copy()), from_mode, to_mode).numpy()
        return _convert_tensor(box.clone(), from_mode, to_mode)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _convert_tensor(boxes: torch.Tensor, from_mode: BoxMode, to_mode: BoxMode) -> torch.Tensor:
    relative = {BoxMode.XYXY_REL, BoxMode.XYWH_REL} & {from_mode, to_mode}
    _check(not relative, "Relative boxes cannot be converted: the image size is unknown here")
    rotated_source = from_mode == BoxMode.XYWHA_ABS
    expected = 5 if rotated_source else 4
    _check(
        boxes.shape[-1] == expected,
        f"{from_mode.name} boxes have {expected} numbers, got shape {tuple(boxes.shape)}",
    )
    if rotated_source and to_mode == BoxMode.XYXY_ABS:
        return _rotated_to_enclosing(boxes)
    if from_mode == BoxMode.XYWH_ABS and to_mode == BoxMode.XYWHA_ABS:
        return _xywh_to_rotated(boxes)
    # Both remaining conversions keep the first corner and work on integers as well.
    first, second = boxes[..., :2], boxes[..., 2:]
    if from_mode == BoxMode.XYXY_ABS and to_mode == BoxMode.XYWH_ABS:
        return torch.cat((first, second - first), dim=-1)
    if from_mode == BoxMode.XYWH_ABS and to_mode == BoxMode.XYXY_ABS:
        return torch.cat((first, second + first), dim=-1)
    raise NotImplementedError(f"There is no conversion from {from_mode.name} to {to_mode.name}.")


def _rotated_to_enclosing(boxes: torch.Tensor) -> torch.Tensor:
    """The upright box around a rotated one, computed in double precision."""
    center, size, angle = boxes.double().split((2, 2, 1), dim=-1)
    cosine, sine = torch.deg2rad(angle).cos().abs(), torch.deg2rad(angle).sin().abs()
    half = (cosine * size + sine * size.flip(-1)) / 2
    return torch.cat((center - half, center + half), dim=-1).to(boxes.dtype)


def _xywh_to_rotated(boxes: torch.Tensor) -> torch.Tensor:
    corner, size = boxes.double().split((2, 2), dim=-1)
    angle = torch.zeros_like(size[..., :1])
    return torch.cat((corner + size / 2, size, angle), dim=-1).to(boxes.dtype)
