"""Every entry of the registries keeps the promises of its kind, in every combination.

By default in a few combinations that have each entry once, with `--slow` in all.
"""

import itertools

import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import BACKBONE_REGISTRY, Boxes, Instances, ShapeSpec
from yolov7.modeling import HEAD_REGISTRY, NECK_REGISTRY, build_backbone, build_detector
from yolov7.modeling.reparameterization import probe_detector, relative_difference, reparameterize


def ours(registry):
    """Names of this project's entries; detectron2's registries may hold others'."""
    return sorted(name for name, entry in registry if entry.__module__.startswith("yolov7."))


BACKBONES = ours(BACKBONE_REGISTRY)
# Heads of queries have their own cells, in test_query_heads.py; YOLOF's head and neck go together.
NECKS = [name for name in ours(NECK_REGISTRY) if name != "DilatedEncoder"]
HEADS = [name for name in ours(HEAD_REGISTRY) if "DETR" not in name and name != "YOLOFHead"]


def cells(*lists):
    """All combinations; those outside a smallest set that has every entry are marked slow."""
    longest = max(map(len, lists))
    covering = {tuple(entries[i % len(entries)] for entries in lists) for i in range(longest)}
    return [
        pytest.param(*cell, marks=() if cell in covering else pytest.mark.slow)
        for cell in itertools.product(*lists)
    ]


def small_config(**names):
    """The smallest model that has every kind of layer."""
    cfg = get_config()
    family = "YOLOV7" if "Anchor" in names.get("HEAD", "") else "YOLOX"
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = family, "cpu"
    cfg.MODEL.BACKBONE.NAME = BACKBONES[0]
    for section, name in names.items():
        cfg.MODEL[section].NAME = name
    cfg.MODEL.YOLO.CLASSES = 3
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.TIMM.NAME, cfg.MODEL.BACKBONE.FREEZE_AT = "mobilenetv3_small_050", 0
    resnet = cfg.MODEL.RESNETS
    resnet.STEM_OUT_CHANNELS, resnet.WIDTH_PER_GROUP, resnet.RES2_OUT_CHANNELS = 8, 4, 16
    resnet.NORM = "BN"
    return cfg


def make_batch(*counts):
    """Images of 64x96 with so many objects each, one well inside each of three cells' windows."""
    batch = []
    for count in counts:
        boxes = torch.tensor(
            [[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0], [2.0, 40.0, 9.0, 50.0]]
        )
        instances = Instances((64, 96), gt_boxes=Boxes(boxes[:count]))
        instances.gt_classes = torch.arange(3)[:count]
        image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


def test_the_registries_are_filled_by_the_import():
    assert {"CSPDarknet", "ELANNet"} <= set(BACKBONES)
    assert {"CSPPAFPN", "ELANPAFPN", "Identity"} <= set(NECKS)
    assert {"AnchorHead", "DecoupledHead"} <= set(HEADS)


@pytest.mark.parametrize(("name", "strides"), cells(BACKBONES, [(8, 16, 32), (8, 16)]))
def test_backbone_honours_its_output_shape(name, strides):
    cfg = small_config(BACKBONE=name)
    cfg.MODEL.NECK.IN_STRIDES = list(strides)
    backbone = build_backbone(cfg).eval()
    height, width = 64, 96
    assert height % max(backbone.size_divisibility, 1) == 0
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, height, width))
    shapes = backbone.output_shape()
    assert list(features) == list(shapes)
    assert set(strides) <= {shape.stride for shape in shapes.values()}
    for feature, shape in zip(features.values(), shapes.values(), strict=True):
        assert shape == ShapeSpec(channels=shape.channels, stride=shape.stride)
        expected = (2, shape.channels, height // shape.stride, width // shape.stride)
        assert tuple(feature.shape) == expected


@pytest.mark.parametrize(("backbone", "neck", "head"), cells(BACKBONES, NECKS, HEADS))
def test_cell_steps_with_finite_gradients_everywhere(backbone, neck, head):
    torch.manual_seed(0)
    model = build_detector(small_config(BACKBONE=backbone, NECK=neck, HEAD=head))
    model.criterion.loss_weights["loss_l1"] = 1.0
    losses = model(make_batch(3, 0))
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    # A level without responsible cells teaches its class branch nothing, so that every parameter
    # has an influence is seen on the raw predictions.
    model.zero_grad()
    images, _ = model.preprocess(make_batch(0, 0))
    predictions = model.predict(images)
    outputs = (predictions.class_logits, predictions.objectness_logits, predictions.box_deltas)
    sum(output.square().sum() for output in outputs if output is not None).backward()
    assert not [name for name, p in model.named_parameters() if not p.grad.abs().max() > 0]


@pytest.mark.parametrize(("backbone", "head"), cells(BACKBONES, HEADS))
def test_batch_without_objects_still_reaches_every_parameter(backbone, head):
    """Distributed training waits for the gradients of all of them."""
    model = build_detector(small_config(BACKBONE=backbone, HEAD=head))
    with_objects, without = model(make_batch(1, 2)), model(make_batch(0, 0))
    assert list(without) == list(with_objects)
    sum(without.values()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("backbone", "neck", "head"), cells(BACKBONES, NECKS, HEADS))
def test_reparameterised_cell_is_smaller_and_equal(backbone, neck, head):
    torch.manual_seed(0)
    model = build_detector(small_config(BACKBONE=backbone, NECK=neck, HEAD=head))
    # Running statistics as after training; fresh ones would hide errors of the folding.
    with torch.no_grad():
        model(make_batch(2, 1))
    smaller = reparameterize(model)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    outputs = [probe_detector(each.eval().double()) for each in (smaller, model)]
    assert 0.0 < relative_difference(*outputs) < 1e-5
