"""`DATASETS.*` and `DATALOADER.*`: own data sets by config, and what a bad picture means."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_dataset_config(cfg: CfgNode) -> None:
    """Add our keys under `DATASETS` and `DATALOADER`."""
    # Own data sets without a line of Python, a list of entries like
    # {NAME: my_train, FORMAT: coco, ANNOTATIONS: a.json, IMAGES: folder},
    # {NAME: my_train, FORMAT: voc, ROOT: VOC2007, SPLIT: trainval} or
    # {NAME: my_train, FORMAT: yolo, DATA: data.yaml, SPLIT: train} (datasets/README.md).
    cfg.DATASETS.REGISTER = []
    # Class names in the order of the class indices; empty: taken from the annotations.
    cfg.DATASETS.CLASS_NAMES = []

    # A missing or unreadable picture in training: "error" stops, "skip" draws another one and
    # counts it in the log.
    cfg.DATALOADER.ON_BAD_IMAGE = "error"
