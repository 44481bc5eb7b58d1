"""`MODEL.DETR`: the transformer of DETR."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_detr_config(cfg: CfgNode) -> None:
    """Add our keys; the defaults are those of DETR itself."""
    cfg.MODEL.DETR = CfgNode()
    detr = cfg.MODEL.DETR
    # The transformer is as wide as MODEL.NECK.CHANNELS; heads of its attention, width inside its
    # perceptrons, and layers.
    detr.NHEADS = 8
    detr.DIM_FEEDFORWARD = 2048
    detr.ENC_LAYERS = 6
    detr.DEC_LAYERS = 6
    detr.DROPOUT = 0.1
    # Normalise what goes into a branch instead of what a layer returns.
    detr.PRE_NORM = False
    # Boxes a picture, most of which say "no object"; a training picture may not have more objects.
    detr.NUM_OBJECT_QUERIES = 100
    # How cells know where they lie: "sine", or "learned" (maps of at most 50 x 50 cells).
    detr.POSITIONS = "sine"
    # With MODEL.MASK_ON: train the mask head alone, on a detector that is trained already.
    detr.FREEZE_DETECTOR = False
