"""Pure functions on boxes: geometry and non-maximum suppression."""

from yolov7.ops.box_ops import (
    at_least_float32,
    box_area,
    clip_boxes,
    cxcywh_to_xyxy,
    elementwise_ciou,
    elementwise_diou,
    elementwise_giou,
    elementwise_ioa,
    elementwise_iou,
    nonempty_boxes,
    pairwise_iou,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)
from yolov7.ops.nms import NMS, NMS_TYPES, Kept, Sources, class_aware_nms, weighted_boxes_fusion

__all__ = [
    "NMS",
    "NMS_TYPES",
    "Kept",
    "Sources",
    "at_least_float32",
    "box_area",
    "class_aware_nms",
    "clip_boxes",
    "cxcywh_to_xyxy",
    "elementwise_ciou",
    "elementwise_diou",
    "elementwise_giou",
    "elementwise_ioa",
    "elementwise_iou",
    "nonempty_boxes",
    "pairwise_iou",
    "weighted_boxes_fusion",
    "xywh_to_xyxy",
    "xyxy_to_cxcywh",
    "xyxy_to_xywh",
]
