"""`MODEL.YOLOF` and what its matcher and box coder want of the sections that they share."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_yolof_config(cfg: CfgNode) -> None:
    """Add our keys; the defaults are those of YOLOF on a map of stride 32."""
    model = cfg.MODEL

    model.YOLOF = CfgNode()
    # DilatedEncoder: width of its dilated convolutions, and the dilation of each of its blocks.
    model.YOLOF.HIDDEN_CHANNELS = 128
    model.YOLOF.DILATIONS = [2, 4, 6, 8]
    # YOLOFHead: 3x3 convolutions before the classes, and before boxes and objectness.
    model.YOLOF.CLASS_CONVS = 2
    model.YOLOF.BOX_CONVS = 4
    # Of both.
    model.YOLOF.ACTIVATION = "relu"

    # UniformMatcher: an anchor that overlaps its object less teaches nothing.
    model.ASSIGNER.MIN_ANCHOR_IOU = 0.15
    # YOLOFBoxCoder: a box's centre goes at most so many pixels from its anchor's.
    model.BOX_CODER.MAX_SHIFT = 32.0
