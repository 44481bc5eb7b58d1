"""`MODEL.PAFPN` and the sections of the other classic necks."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_neck_config(cfg: CfgNode) -> None:
    """Add our keys; `MODEL.NECK` holds what necks share."""
    model = cfg.MODEL

    model.PAFPN = CfgNode()
    # YOLOv4's neck has it even where the backbone has another one.
    model.PAFPN.ACTIVATION = "leaky_relu"

    # FPN, BiFPN. Levels coarser than the backbone's maps: "" (none), "max_pool" (one: every second
    # cell), "max_pools" (two, by 3x3 maxima: EfficientDet) or "convs" (two, by strided
    # convolutions: RetinaNet). An AnchorHead wants anchors for them too.
    model.NECK.TOP_BLOCK = ""

    model.BIFPN = CfgNode()
    # How often the maps go down and up (EfficientDet-D0 to D2: 3, 4, 5 at MODEL.NECK.CHANNELS 64,
    # 88, 112).
    model.BIFPN.REPEATS = 3
    model.BIFPN.ACTIVATION = "silu"

    model.PPYOLO_PAN = CfgNode()
    model.PPYOLO_PAN.ACTIVATION = "mish"
    # DropBlock: share of the cells that training sets to zero, in squares of so many cells a side.
    # SOLVER.DROP_BLOCK_RAMP_ITERS lets it begin gently.
    model.PPYOLO_PAN.DROP_SHARE = 0.1
    model.PPYOLO_PAN.DROP_SIZE = 3
