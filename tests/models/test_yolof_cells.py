"""YOLOF's encoder and head on the deepest map of every backbone."""

from __future__ import annotations

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import BACKBONE_REGISTRY, Boxes, Instances
from yolov7.modeling import build_detector
from yolov7.modeling.reparameterization import probe_detector, relative_difference, reparameterize

BACKBONES = sorted(
    name for name, entry in BACKBONE_REGISTRY if entry.__module__.startswith("yolov7.")
)


def build(backbone: str):
    torch.manual_seed(0)
    cfg = get_config()
    model = cfg.MODEL
    model.DEVICE, model.META_ARCHITECTURE, model.BACKBONE.NAME = "cpu", "YOLOF", backbone
    model.PIXEL_MEAN, model.PIXEL_STD = [110.0] * 3, [60.0] * 3
    model.YOLO.CLASSES, model.YOLO.WIDTH_MUL, model.YOLO.DEPTH_MUL = 3, 0.125, 0.33
    model.YOLO.ANCHORS = [[[16, 16], [48, 48]]]
    model.TIMM.NAME, model.BACKBONE.FREEZE_AT = "mobilenetv3_small_050", 0
    resnet = model.RESNETS
    resnet.STEM_OUT_CHANNELS, resnet.WIDTH_PER_GROUP, resnet.RES2_OUT_CHANNELS = 8, 4, 16
    resnet.NORM = "BN"
    model.NECK.NAME, model.NECK.IN_STRIDES, model.NECK.CHANNELS = "DilatedEncoder", [32], 16
    model.HEAD.NAME, model.YOLOF.HIDDEN_CHANNELS, model.YOLOF.DILATIONS = "YOLOFHead", 8, [1, 2]
    model.ASSIGNER.NAME, model.CRITERION.NAME = "UniformMatcher", "YOLOFCriterion"
    model.CRITERION.CLASS_LOSS, model.CRITERION.BOX_LOSS = "focal", "giou"
    return build_detector(cfg)


def make_batch(*counts: int) -> list[dict]:
    boxes = torch.tensor([[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0]])
    batch = []
    for count in counts:
        instances = Instances((64, 96), gt_boxes=Boxes(boxes[:count]))
        instances.gt_classes = torch.arange(2)[:count]
        image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


@pytest.mark.parametrize("backbone", BACKBONES)
def test_steps_reach_everything_and_the_deployed_model_is_equal(backbone: str) -> None:
    model = build(backbone)
    for batch in (make_batch(2, 0), make_batch(0, 0)):
        model.zero_grad()
        losses = model(batch)
        assert set(losses) == {"loss_box", "loss_class"}
        assert all(loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
        missing = [name for name, p in model.named_parameters() if p.grad is None]
        assert not missing
        assert all(p.grad.isfinite().all() for p in model.parameters())
    assert losses["loss_box"] == 0
    smaller = reparameterize(model)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    outputs = [probe_detector(each.eval().double()) for each in (smaller, model)]
    assert relative_difference(*outputs) < 1e-5
    with torch.no_grad():
        # Sides that are no multiples of the stride, and two sizes in a batch.
        found = model.float()([{"image": torch.zeros(3, *size)} for size in ((70, 100), (64, 96))])
    assert [each["instances"].image_size for each in found] == [(70, 100), (64, 96)]
