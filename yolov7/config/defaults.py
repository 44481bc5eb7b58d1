"""The framework's config: detectron2's defaults with our sections added."""

from __future__ import annotations

from yolov7.config.anchor_detr import add_anchor_detr_config
from yolov7.config.datasets import add_dataset_config
from yolov7.config.detr import add_detr_config
from yolov7.config.elan import add_elan_config
from yolov7.config.input import add_input_config
from yolov7.config.model import add_model_config
from yolov7.config.necks import add_neck_config
from yolov7.config.solver import add_solver_config
from yolov7.config.test import add_test_config
from yolov7.config.timm import add_timm_config
from yolov7.config.yolof import add_yolof_config
from yolov7.d2 import CfgNode, get_cfg


def add_yolo_config(cfg: CfgNode) -> None:
    """Add every key of the framework to a detectron2 config, in place.

    Args:
        cfg: what `get_cfg()` of detectron2 or of the seam returns.
    """
    add_model_config(cfg)
    add_neck_config(cfg)
    add_elan_config(cfg)
    add_yolof_config(cfg)
    add_detr_config(cfg)
    add_anchor_detr_config(cfg)
    add_timm_config(cfg)
    add_input_config(cfg)
    add_dataset_config(cfg)
    add_solver_config(cfg)
    add_test_config(cfg)


def get_config() -> CfgNode:
    """Return a fresh config with detectron2's keys and ours at their defaults."""
    cfg = get_cfg()
    add_yolo_config(cfg)
    return cfg
