"""How much predictions overlap the objects of their image, whether they answer for them or not."""

from __future__ import annotations

from torch import Tensor

from yolov7.modeling.assignment.dynamic_k import default_max_pairs
from yolov7.ops.box_ops import pairwise_iou


def largest_iou(
    pred_boxes: Tensor, boxes: Tensor, image_index: Tensor, *, max_pairs: int | None = None
) -> Tensor:
    """The largest IoU of each prediction with an object of its image, 0 without objects.

    Args:
        pred_boxes: ``(B, P, 4)`` xyxy pixels, P > 0.
        boxes: ``(M, 4)`` objects, xyxy pixels.
        image_index: ``(M,)`` the image of each object.
        max_pairs: (object, prediction) overlaps at once; bounds the memory. By default what suits
            the device.

    Returns:
        ``(B, P)``.
    """
    limit = default_max_pairs(boxes.device) if max_pairs is None else max_pairs
    chunk = max(limit // pred_boxes.shape[1], 1)
    best = pred_boxes.new_zeros(pred_boxes.shape[:2])
    for objects, image in zip(boxes.split(chunk), image_index.split(chunk), strict=True):
        overlap = pairwise_iou(objects[:, None], pred_boxes[image])[:, 0]
        best.scatter_reduce_(0, image[:, None].expand_as(overlap), overlap, "amax")
    return best
