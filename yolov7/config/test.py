"""`TEST.*`: evaluation."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_test_config(cfg: CfgNode) -> None:
    """Add our keys under `TEST`."""
    # The number by which model_best.pth is chosen, the larger the better; with "loss" in its name,
    # the smaller.
    cfg.TEST.BEST_METRIC = "bbox/AP"
    # Pictures a forward pass, over all processes.
    cfg.TEST.IMS_PER_BATCH = 8
    # How AP is computed on VOC's data sets: "11point", "area", or "auto", which is the 11-point
    # metric for those of the year 2007 and the area under the curve for all others.
    cfg.TEST.VOC_METRIC = "auto"
    # With every evaluation in training also the training's losses on DATASETS.TEST, unaugmented and
    # with the evaluated weights: "validation/loss_box" … in metrics.json. One more pass over it.
    cfg.TEST.VALIDATION_LOSS = False
