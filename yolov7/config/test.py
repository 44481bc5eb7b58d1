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
    # Of more boxes of a picture than these, the best are looked at.
    cfg.TEST.CANDIDATES_PER_IMAGE = 30000
    # With TEST.AUG.ENABLED (detectron2's key) evaluation, predictor and demo look at several views
    # of every picture and join what they find: [scale, flip] each, flip being "none", "horizontal"
    # or "vertical".
    cfg.TEST.AUG.VIEWS = [[1.0, "none"], [0.83, "horizontal"], [0.67, "none"]]
    # How AP is computed on VOC's data sets: "11point", "area", or "auto", which is the 11-point
    # metric for those of the year 2007 and the area under the curve for all others.
    cfg.TEST.VOC_METRIC = "auto"
    # With every evaluation in training also the training's losses on DATASETS.TEST, unaugmented and
    # with the evaluated weights: "validation/loss_box" … in metrics.json. One more pass over it.
    cfg.TEST.VALIDATION_LOSS = False
