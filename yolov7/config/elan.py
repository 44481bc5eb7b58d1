"""`MODEL.ELAN`, `MODEL.ELAN_PAFPN`, `MODEL.AUXILIARY_HEAD`: the parts of the paper's YOLOv7."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_elan_config(cfg: CfgNode) -> None:
    """Add our keys; the defaults are those of YOLOv7 itself.

    Widths named CHANNELS are multiplied by `MODEL.YOLO.WIDTH_MUL`, CONVS by `DEPTH_MUL`; widths
    inside the blocks stay, which is the paper's compound scaling.
    """
    model = cfg.MODEL

    # ELANNet, and the blocks of ELANPAFPN.
    model.ELAN = CfgNode()
    model.ELAN.ACTIVATION = "silu"
    # 3x3 convolutions in the chain of a block.
    model.ELAN.CONVS = 4
    # Blocks side by side whose outputs are added: 1 is ELAN, 2 is E-ELAN (E6E).
    model.ELAN.BRANCHES = 1
    # "convs" (three convolutions), "reorg" (space to depth and a convolution; W6 and larger) or
    # "conv" (a strided convolution; tiny), and the width after it.
    model.ELAN.STEM = "convs"
    model.ELAN.STEM_CHANNELS = 64
    # For each stage from stride 4 on: how it halves the resolution ("conv", "mp", "down_c",
    # "pool"), the width after that, the width after its block, and the width inside the block.
    model.ELAN.TRANSITIONS = ["conv", "mp", "mp", "mp"]
    model.ELAN.TRANSITION_CHANNELS = [128, 256, 512, 1024]
    model.ELAN.CHANNELS = [256, 512, 1024, 1024]
    model.ELAN.HIDDEN_CHANNELS = [64, 128, 256, 256]
    # Which links of the backbone's chains are gathered: 1 every one, 2 every second one.
    model.ELAN.PICK_EVERY = 2

    model.ELAN_PAFPN = CfgNode()
    # Pooling of the coarsest map: "sppcspc" or "tiny_sppcspc".
    model.ELAN_PAFPN.POOLING = "sppcspc"
    # How the way up halves the resolution, as in MODEL.ELAN.TRANSITIONS.
    model.ELAN_PAFPN.TRANSITION = "mp"
    # For each stride of MODEL.NECK.IN_STRIDES: the width of the output, and inside the blocks.
    model.ELAN_PAFPN.CHANNELS = [128, 256, 512]
    model.ELAN_PAFPN.HIDDEN_CHANNELS = [128, 256, 512]
    # Width of the 3x3 convolutions relative to HIDDEN_CHANNELS, and which are gathered.
    model.ELAN_PAFPN.CONV_RATIO = 0.5
    model.ELAN_PAFPN.PICK_EVERY = 1

    # Deep supervision (P6 models): a second AnchorHead on the neck's taps, run in training only.
    model.AUXILIARY_HEAD = CfgNode()
    # Width of its 3x3 convolution for each level; empty for no auxiliary head.
    model.AUXILIARY_HEAD.CHANNELS = []
