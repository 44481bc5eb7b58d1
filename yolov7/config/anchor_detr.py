"""`MODEL.ANCHOR_DETR`: the transformer of Anchor DETR."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_anchor_detr_config(cfg: CfgNode) -> None:
    """Add our keys; the defaults are those of Anchor DETR itself."""
    cfg.MODEL.ANCHOR_DETR = CfgNode()
    detr = cfg.MODEL.ANCHOR_DETR
    # The transformer is as wide as MODEL.NECK.CHANNELS; heads of its attention, width inside its
    # perceptrons, and layers.
    detr.NHEADS = 8
    detr.DIM_FEEDFORWARD = 1024
    detr.ENC_LAYERS = 6
    detr.DEC_LAYERS = 6
    detr.DROPOUT = 0.0
    # Places that queries start from: "learned", or "grid" (the nearest square number of them).
    detr.POINTS = "learned"
    detr.NUM_POINTS = 300
    # Queries that start from each point. Points times patterns are the boxes of a picture, of
    # which a training picture may not have more.
    detr.NUM_PATTERNS = 3
    # "row_column", in time and memory for large maps, or "plain": every query to every cell.
    detr.ATTENTION = "row_column"
