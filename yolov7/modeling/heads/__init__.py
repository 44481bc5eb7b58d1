"""Heads: feature maps to raw predictions."""

from yolov7.modeling.heads.anchor_detr_head import AnchorDETRHead
from yolov7.modeling.heads.anchor_head import AnchorHead
from yolov7.modeling.heads.decoupled_anchor_head import DecoupledAnchorHead
from yolov7.modeling.heads.decoupled_head import DecoupledHead
from yolov7.modeling.heads.detr_head import DETRHead
from yolov7.modeling.heads.detr_mask_head import DETRMaskHead
from yolov7.modeling.heads.yolof_head import YOLOFHead

__all__ = [
    "AnchorDETRHead",
    "AnchorHead",
    "DETRHead",
    "DETRMaskHead",
    "DecoupledAnchorHead",
    "DecoupledHead",
    "YOLOFHead",
]
