"""Non-maximum suppression: which detections of one image stay, and as what.

Every kind is called alike, whatever it does to boxes and scores: see `yolov7.ops.nms.kept.NMS`. All
are right for N = 0, and none needs memory that grows with the square of N.
"""

from yolov7.ops.nms.fusion import fuse_candidates, weighted_boxes_fusion
from yolov7.ops.nms.greedy import agnostic_nms, class_aware_nms
from yolov7.ops.nms.kept import NMS, Kept, Sources
from yolov7.ops.nms.matrix import cluster_nms, diou_nms
from yolov7.ops.nms.soft import soft_gaussian_nms, soft_linear_nms

__all__ = [
    "NMS",
    "NMS_TYPES",
    "Kept",
    "Sources",
    "agnostic_nms",
    "class_aware_nms",
    "cluster_nms",
    "diou_nms",
    "fuse_candidates",
    "soft_gaussian_nms",
    "soft_linear_nms",
    "weighted_boxes_fusion",
]

NMS_TYPES: dict[str, NMS] = {
    "normal": class_aware_nms,
    "agnostic": agnostic_nms,
    "soft-linear": soft_linear_nms,
    "soft-gaussian": soft_gaussian_nms,
    "cluster": cluster_nms,
    "diou": diou_nms,
    "wbf": fuse_candidates,
}
"""The values of ``MODEL.NMS_TYPE``."""
