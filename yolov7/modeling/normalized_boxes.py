"""Objects in the frame in which query heads predict: relative to each image without its padding."""

from __future__ import annotations

import torch
from torch import Tensor

from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import xyxy_to_cxcywh


def object_frames(targets: Targets, dtype: torch.dtype) -> Tensor:
    """``(M, 4)`` (width, height, width, height) of the image of each object, without padding."""
    sizes = targets.image_sizes[targets.image_index].to(dtype)
    return sizes.flip(-1).repeat(1, 2)


def normalized_boxes(targets: Targets, dtype: torch.dtype) -> Tensor:
    """``(M, 4)`` (centre x, centre y, width, height) in [0, 1] of images at the top left."""
    return xyxy_to_cxcywh(targets.boxes.to(dtype)) / object_frames(targets, dtype)
