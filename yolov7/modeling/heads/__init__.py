"""Heads: feature maps to raw predictions."""

from yolov7.modeling.heads.anchor_head import AnchorHead
from yolov7.modeling.heads.decoupled_head import DecoupledHead

__all__ = ["AnchorHead", "DecoupledHead"]
