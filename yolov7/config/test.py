"""`TEST.*`: evaluation."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_test_config(cfg: CfgNode) -> None:
    """Add our keys under `TEST`."""
    # The number by which model_best.pth is chosen.
    cfg.TEST.BEST_METRIC = "bbox/AP"
    # Pictures a forward pass, over all processes.
    cfg.TEST.IMS_PER_BATCH = 8
