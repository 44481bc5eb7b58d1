"""Every head of queries on every backbone of the registries."""

import copy

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import BACKBONE_REGISTRY, Boxes, Instances
from yolov7.modeling import HEAD_REGISTRY, build_detector, pack_for_inference
from yolov7.modeling.reparameterization import probe_detector, relative_difference, reparameterize

BACKBONES = sorted(
    name for name, entry in BACKBONE_REGISTRY if entry.__module__.startswith("yolov7.")
)
HEADS = {"DETRHead": "DETR", "AnchorDETRHead": "AnchorDETR"}
"""Heads, and the families that read them."""


def build_small(backbone, head):
    torch.manual_seed(0)
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = HEADS[head], "cpu"
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.HEAD.NAME = backbone, head
    cfg.MODEL.YOLO.CLASSES, cfg.MODEL.YOLO.CONF_THRESHOLD = 3, 0.0
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.TIMM.NAME, cfg.MODEL.BACKBONE.FREEZE_AT = "mobilenetv3_small_050", 0
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.IN_STRIDES = "Projection", [32]
    cfg.MODEL.NECK.CHANNELS = 32
    cfg.MODEL.ASSIGNER.NAME, cfg.MODEL.CRITERION.NAME = "HungarianMatcher", "SetCriterion"
    cfg.MODEL.CRITERION.BOX_LOSS, cfg.MODEL.CRITERION.CLASS_LOSS = "giou", "focal"
    for section in (cfg.MODEL.DETR, cfg.MODEL.ANCHOR_DETR):
        section.DIM_FEEDFORWARD, section.ENC_LAYERS, section.DEC_LAYERS = 32, 1, 2
    cfg.MODEL.DETR.NUM_OBJECT_QUERIES, cfg.MODEL.ANCHOR_DETR.NUM_POINTS = 9, 9
    return build_detector(cfg)


def make_batch(*counts):
    """Images of 64x96 with so many objects each."""
    batch = []
    for count in counts:
        boxes = torch.tensor([[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0]])[:count]
        instances = Instances((64, 96), gt_boxes=Boxes(boxes), gt_classes=torch.arange(2)[:count])
        image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


def test_no_head_of_queries_is_forgotten():
    ours = {name for name, entry in HEAD_REGISTRY if entry.__module__.startswith("yolov7.")}
    assert {name for name in ours if "DETR" in name} == set(HEADS)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_cell_steps_with_and_without_objects_deploys_and_packs(backbone, head):
    model = build_small(backbone, head)
    losses = model(make_batch(2, 0))
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    without = model(make_batch(0, 0))
    assert list(without) == list(losses)
    sum(without.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    smaller = reparameterize(model)
    packed = probe_detector(pack_for_inference(copy.deepcopy(smaller)))
    outputs = [probe_detector(each.eval().double()) for each in (smaller, model)]
    assert relative_difference(*outputs) < 1e-5
    assert relative_difference(packed, outputs[1]) < 1e-3
