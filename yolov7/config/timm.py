"""`MODEL.TIMM`: backbones of timm (github.com/huggingface/pytorch-image-models)."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_timm_config(cfg: CfgNode) -> None:
    """Add our keys for `TimmBackbone`.

    detectron2's `MODEL.BACKBONE.FREEZE_AT` holds for it, as for our other backbones: 0 trains
    everything, 1 freezes the stem, 2 (its default) the stage of stride 4 too, and so on.
    """
    model = cfg.MODEL

    # A fresh training starts from the pretrained weights of the backbone (TimmBackbone), which are
    # downloaded once; with MODEL.WEIGHTS, in resumed trainings, evaluation and demo never.
    model.BACKBONE.PRETRAINED = False

    model.TIMM = CfgNode()
    # A model of timm that returns maps, such as resnet50, res2net50d, swin_tiny_patch4_window7_224
    # or pvt_v2_b2. A tag, as in resnet50.tv_in1k, chooses among several pretrained weights.
    model.TIMM.NAME = "resnet50"
    # Batch norms as the model has them (""), or as constants that training does not change
    # ("FrozenBN"), which suits small batches but needs pretrained weights.
    model.TIMM.NORM = ""
    # 32, or 16 for a last stage that is dilated instead of strided ("DC5"; ResNets and others).
    model.TIMM.OUTPUT_STRIDE = 32
    # The 3x3 convolutions of the last stage are deformable, moved and weighted (DCNv2; ResNets).
    model.TIMM.DEFORMABLE_C5 = False
    # Largest probability with which a residual branch is left out in training.
    model.TIMM.DROP_PATH = 0.0
    # A file with the pretrained weights, instead of the download.
    model.TIMM.WEIGHTS = ""
