"""The head against what the authors' program gave behind the same map (tests/reference)."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.checkpoint.conversion.anchor_detr import anchor_detr_name
from yolov7.config import get_config
from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling import build_head, build_neck
from yolov7.modeling.heads.anchor_detr_head import logits_of
from yolov7.utils.errors import ConfigError

REFERENCE = Path(__file__).parents[2] / "reference"
VARIANTS = {
    "row_column": {},
    "plain": {"attention": "plain"},
    "grid": {"points": "grid"},
}


def load(name):
    """A file as a module; it may import its neighbours."""
    sys.path.insert(0, str(REFERENCE))
    try:
        spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(REFERENCE))
    return module


deterministic, authors = load("deterministic"), load("anchor_detr_weights")


@pytest.fixture(scope="module")
def recorded():
    return np.load(REFERENCE / "anchor_detr.npz")


def make_config(*, attention="row_column", points="learned"):
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.CHANNELS, cfg.MODEL.NECK.NORM = "Projection", 256, "GN"
    cfg.MODEL.NECK.IN_STRIDES = [32]
    cfg.MODEL.HEAD.NAME, cfg.MODEL.YOLO.CLASSES = "AnchorDETRHead", 91
    cfg.MODEL.CRITERION.CLASS_LOSS = "focal"
    detr = cfg.MODEL.ANCHOR_DETR
    detr.DIM_FEEDFORWARD, detr.ENC_LAYERS, detr.DEC_LAYERS = 48, 1, 2
    detr.NUM_POINTS, detr.NUM_PATTERNS = 9, 2
    detr.ATTENTION, detr.POINTS = attention, points
    return cfg


def build(cfg):
    """Neck and head with their start values."""
    neck = build_neck(cfg, {"c5": ShapeSpec(channels=24, stride=32)})
    return neck, build_head(cfg, neck.output_shape())


def build_recorded(variant):
    """The same with the authors' weights, float64, eval mode."""
    neck, head = build(make_config(**VARIANTS[variant]))
    sizes = {"in_channels": 24, "feedforward": 48, "encoder_layers": 1, "decoder_layers": 2}
    shapes = authors.head_shapes(
        **sizes, points=9, patterns=2, row_column=variant != "plain", learned=variant != "grid"
    )
    filled = {anchor_detr_name(k): v for k, v in authors.fill_state(shapes).items()}
    for part, name in ((neck, "neck."), (head, "head.")):
        state = {k: filled[f"{name}{k}"] for k in part.state_dict()}
        part.double().eval().load_state_dict(state)
    return neck, head


def make_features(index=slice(None)):
    values = deterministic.uniform("map3", 2 * 24 * 3 * 4)
    return {"c5": torch.from_numpy(4 * values.reshape(2, 24, 3, 4) - 2)[index]}


SIZES = ((96, 128), (60, 90))


def make_images(sizes=SIZES, dtype=torch.float64):
    return ImageList(torch.zeros(len(sizes), 3, 96, 128, dtype=dtype), list(sizes))


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_are_the_authors(variant, recorded):
    neck, head = build_recorded(variant)
    with torch.no_grad():
        found = head(neck(make_features()), make_images())
    logits, boxes = (
        torch.from_numpy(recorded[f"small_{variant}_{name}"]) for name in ("logits", "boxes")
    )
    assert torch.allclose(found.class_logits[..., ::9], logits, rtol=0, atol=1e-10)
    assert torch.allclose(found.boxes_norm, boxes, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_is_its_images_on_the_same_canvas(variant):
    neck, head = build_recorded(variant)
    with torch.no_grad():
        together = head(neck(make_features()), make_images())
        for index in range(2):
            part = slice(index, index + 1)
            alone = head(neck(make_features(part)), make_images(SIZES[part]))
            for name in ("class_logits", "boxes_norm"):
                expected = getattr(together, name)[:, part]
                assert torch.allclose(getattr(alone, name), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["row_column", "plain"])
def test_no_padding_is_a_mask_without_padding(variant, monkeypatch):
    neck, head = build_recorded(variant)
    images = make_images(((96, 128),) * 2)
    with torch.no_grad():
        without = head(neck(make_features()), images)
        monkeypatch.setattr("yolov7.modeling.heads.anchor_detr_head.has_padding", lambda _: True)
        masked = head(neck(make_features()), images)
    assert torch.allclose(without.class_logits, masked.class_logits, rtol=0, atol=1e-12)
    assert torch.allclose(without.boxes_norm, masked.boxes_norm, rtol=0, atol=1e-12)


def test_deployed_reads_the_last_layer_alone():
    neck, head = build_recorded("row_column")
    features, images = neck(make_features()), make_images()
    with torch.no_grad():
        everything = head(features, images)
        last = copy.deepcopy(head).to_deploy()(features, images)
    assert (everything.num_layers, last.num_layers) == (2, 1)
    assert torch.allclose(last.class_logits, everything.class_logits[-1:], rtol=0, atol=1e-12)
    assert torch.allclose(last.boxes_norm, everything.boxes_norm[-1:], rtol=0, atol=1e-12)


def test_at_first_boxes_lie_around_their_points_and_classes_are_rare():
    """Width and height are the sigmoid of -2; queries are ordered by pattern, then point."""
    neck, head = build(make_config(points="grid"))
    with torch.no_grad():
        found = head(neck({"c5": torch.randn(1, 24, 3, 4)}), make_images(SIZES[:1], torch.float32))
    assert found.boxes_norm.shape == (2, 1, 18, 4)
    thirds = [(x + 0.5) / 3 for x in range(3)]
    expected = [[x, y, 0.1192029, 0.1192029] for x in thirds for y in thirds]
    assert torch.allclose(found.boxes_norm, torch.tensor(expected * 2), atol=1e-6)
    assert head.class_predictor.bias.tolist() == pytest.approx([-4.59512] * 91, abs=1e-5)


def test_logits_of_points_are_finite_everywhere():
    points = torch.tensor([0.5, 0.25, 0.0, 1.0, -0.2, 1.3], dtype=torch.float64)
    found = logits_of(points)
    edge = np.log(1e-5)
    assert found.tolist() == pytest.approx([0.0, -np.log(3), edge, -edge, edge, -edge], abs=1e-12)
    points.requires_grad_()
    logits_of(points).sum().backward()
    assert points.grad.isfinite().all()


def test_mixed_precision_keeps_boxes_in_float32():
    neck, head = build_recorded("row_column")
    neck, head = neck.float(), head.float()
    features, images = {"c5": make_features()["c5"].float()}, make_images(dtype=torch.float32)
    with torch.no_grad():
        exact = head(neck(features), images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = head(neck(features), images)
    assert mixed.class_logits.dtype == torch.bfloat16
    assert mixed.boxes_norm.dtype == torch.float32
    assert (mixed.class_logits - exact.class_logits).abs().max() < 0.1
    assert (mixed.boxes_norm - exact.boxes_norm).abs().max() < 0.02


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(variant):
    torch.manual_seed(0)
    neck, head = build(make_config(**VARIANTS[variant]))
    # At the start boxes depend on nothing but the point.
    torch.nn.init.normal_(head.box_predictor.layers[-1].weight)
    found = head(neck({"c5": torch.randn(2, 24, 3, 4)}), make_images(dtype=torch.float32))
    (found.class_logits.square().sum() + found.boxes_norm.square().sum()).backward()
    parameters = [*neck.named_parameters(), *head.named_parameters()]
    assert all(parameter.grad.isfinite().all() for _, parameter in parameters)
    assert not {name for name, parameter in parameters if not parameter.grad.abs().max() > 0}


def test_mistakes_in_the_config_are_named():
    cfg = make_config(attention="row-column")
    with pytest.raises(ConfigError, match=r"ANCHOR_DETR\.ATTENTION: .*Did you mean 'row_column'"):
        build(cfg)
    cfg = make_config(points="random")
    with pytest.raises(ConfigError, match=r"ANCHOR_DETR\.POINTS: there is no 'random'"):
        build(cfg)
    cfg = make_config()
    cfg.MODEL.HEAD.PRIOR_PROBABILITY = 0.0
    with pytest.raises(ConfigError, match="PRIOR_PROBABILITY: expected between 0 and 1"):
        build(cfg)
    for key in ("NUM_POINTS", "NUM_PATTERNS"):
        cfg = make_config()
        cfg.MODEL.ANCHOR_DETR[key] = 0
        with pytest.raises(ConfigError, match=f"{key}: expected at least 1, got 0"):
            build(cfg)
