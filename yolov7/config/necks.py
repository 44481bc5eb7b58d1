"""`MODEL.PAFPN` and the sections of the other classic necks."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_neck_config(cfg: CfgNode) -> None:
    """Add our keys; `MODEL.NECK` holds what necks share."""
    model = cfg.MODEL

    model.PAFPN = CfgNode()
    # YOLOv4's neck has it even where the backbone has another one.
    model.PAFPN.ACTIVATION = "leaky_relu"

    # FPN only. Levels coarser than the backbone's maps: "" (none), "max_pool" (one: every second
    # cell) or "convs" (two, by strided convolutions). Anchors are wanted for them too.
    model.NECK.TOP_BLOCK = ""
