"""Every dense family takes the suppression that `MODEL.NMS_TYPE` names."""

from __future__ import annotations

import pytest
import torch

from yolov7.config import load_config
from yolov7.modeling import build_detector
from yolov7.ops.nms import NMS_TYPES


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ("coco/yolox_nano", "wbf"),
        ("coco/yolov7_tiny", "soft-linear"),
        ("coco/yolov4_tiny", "diou"),
        ("coco/darknet53", "cluster"),
        ("coco/yolof_cspdarknet53_dc5", "soft-gaussian"),
    ],
)
def test_the_config_chooses(config: str, kind: str) -> None:
    cfg = load_config(config, ["MODEL.NMS_TYPE", kind, "MODEL.YOLO.NMS_THRESHOLD", "0.4"])
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        nms = build_detector(cfg).postprocessor.nms
    assert nms.func is NMS_TYPES[kind]
    assert nms.keywords == {"threshold": 0.4}
