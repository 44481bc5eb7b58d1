"""The head against what the authors' program gave behind the same maps (tests/reference)."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint.conversion.detr import detr_name
from yolov7.config import get_config
from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling import build_head, build_neck
from yolov7.modeling.padding_mask import padding_mask
from yolov7.utils.errors import ConfigError

REFERENCE = Path(__file__).parents[2] / "reference"
CHANNELS, STRIDES = (12, 16, 20, 24), (4, 8, 16, 32)
MAP_SIZES = ((24, 32), (12, 16), (6, 8), (3, 4))
VARIANTS = {
    "post_norm": {},
    "pre_norm": {"pre_norm": True},
    "learned": {"learned": True},
    "masks": {"masks": True},
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


deterministic, detr_weights = load("deterministic"), load("detr_weights")


@pytest.fixture(scope="module")
def recorded():
    return np.load(REFERENCE / "detr.npz")


def build(*, pre_norm=False, learned=False, masks=False, class_loss="softmax"):
    """Neck and head of the recorded size, with their start values."""
    cfg = get_config()
    cfg.MODEL.NECK.NAME, cfg.MODEL.NECK.CHANNELS = "Projection", 128
    cfg.MODEL.NECK.IN_STRIDES = STRIDES if masks else STRIDES[-1:]
    cfg.MODEL.HEAD.NAME, cfg.MODEL.YOLO.CLASSES = "DETRHead", 5
    cfg.MODEL.MASK_ON, cfg.MODEL.CRITERION.CLASS_LOSS = masks, class_loss
    detr = cfg.MODEL.DETR
    detr.DIM_FEEDFORWARD, detr.ENC_LAYERS, detr.DEC_LAYERS = 48, 2, 2
    detr.NUM_OBJECT_QUERIES, detr.PRE_NORM = 7, pre_norm
    detr.POSITIONS = "learned" if learned else "sine"
    shapes = {
        f"c{level}": ShapeSpec(channels=channels, stride=stride)
        for level, (channels, stride) in enumerate(zip(CHANNELS, STRIDES, strict=True), start=2)
    }
    neck = build_neck(cfg, shapes)
    return neck, build_head(cfg, neck.output_shape())


def build_recorded(variant):
    """The same with the authors' weights, float64, eval mode."""
    kind = VARIANTS[variant]
    neck, head = build(**kind)
    wanted = dict(kind)
    masks = wanted.pop("masks", False)
    sizes = {"in_channels": 24, "channels": 128, "feedforward": 48, "layers": 2, "queries": 7}
    shapes = detr_weights.head_shapes(**sizes, num_classes=5, **wanted)
    if masks:
        shapes = {f"detr.{name}": shape for name, shape in shapes.items()}
        shapes |= detr_weights.mask_shapes(128, heads=8, context=(20, 16, 12))
    filled = {detr_name(k): v for k, v in deterministic.fill_state(shapes).items()}
    for part, name in ((neck, "neck."), (head, "head.")):
        state = {k.removeprefix(name): v for k, v in filled.items() if k.startswith(name)}
        part.double().eval().load_state_dict(state)
    return neck, head


def make_features(*, scale=1.0):
    """Maps of the backbone for two images."""
    features = {}
    for index, (channels, (rows, columns)) in enumerate(zip(CHANNELS, MAP_SIZES, strict=True)):
        values = deterministic.uniform(f"map{index}", 2 * channels * rows * columns)
        shape = (2, channels, rows, columns)
        features[f"c{index + 2}"] = torch.from_numpy(scale * (4 * values.reshape(shape) - 2))
    return features


def make_images(sizes=((96, 128), (60, 90))):
    return ImageList(torch.zeros(len(sizes), 3, 96, 128, dtype=torch.float64), list(sizes))


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_are_the_authors(variant, recorded):
    neck, head = build_recorded(variant)
    with torch.no_grad():
        found = head(neck(make_features()), make_images())
    for name, values in (("logits", found.class_logits), ("boxes", found.boxes_norm)):
        expected = torch.from_numpy(recorded[f"small_{variant}_{name}"])
        assert torch.allclose(values, expected, rtol=0, atol=1e-10)
    if variant == "masks":
        expected = torch.from_numpy(recorded["small_masks_masks"])
        assert found.mask_logits.shape == (2, 7, 24, 32)
        assert torch.allclose(found.mask_logits[..., ::4, ::4], expected, rtol=0, atol=1e-10)
    else:
        assert found.mask_logits is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_is_its_images_on_the_same_canvas(variant):
    neck, head = build_recorded(variant)
    features, images = make_features(), make_images()
    with torch.no_grad():
        together = head(neck(features), images)
        for index in range(2):
            one = ImageList(images.tensor[index : index + 1], images.image_sizes[index:][:1])
            alone = head(neck({k: v[index : index + 1] for k, v in features.items()}), one)
            for name in ("class_logits", "boxes_norm"):
                expected = getattr(together, name)[:, index : index + 1]
                assert torch.allclose(getattr(alone, name), expected, rtol=0, atol=1e-12)
            if variant == "masks":
                expected = together.mask_logits[index : index + 1]
                assert torch.allclose(alone.mask_logits, expected, rtol=0, atol=1e-12)


def test_what_lies_on_padded_cells_does_not_matter():
    neck, head = build_recorded("post_norm")
    features, images = make_features(), make_images()
    with torch.no_grad():
        first = head(neck(features), images)
        padded = padding_mask(images)[1, ::32, ::32]
        features["c5"][1][:, padded] = 1000.0
        second = head(neck(features), images)
    assert torch.allclose(first.boxes_norm, second.boxes_norm, rtol=0, atol=1e-12)
    assert torch.allclose(first.class_logits, second.class_logits, rtol=0, atol=1e-12)


def test_deployed_reads_the_last_layer_alone():
    neck, head = build_recorded("masks")
    features, images = neck(make_features()), make_images()
    with torch.no_grad():
        everything = head(features, images)
        last = copy.deepcopy(head).to_deploy()(features, images)
    assert everything.num_layers == 2
    assert torch.allclose(last.class_logits, everything.class_logits[-1:], rtol=0, atol=1e-12)
    assert torch.allclose(last.boxes_norm, everything.boxes_norm[-1:], rtol=0, atol=1e-12)
    assert torch.equal(last.mask_logits, everything.mask_logits)


def test_logits_follow_the_loss():
    """Softmax has "no object"; sigmoids start at the prior 0.01 instead of at a half."""
    _, head = build()
    assert head.class_predictor.out_features == 6
    assert head.class_predictor.bias.abs().max() < 0.1
    _, head = build(class_loss="focal")
    assert head.class_predictor.out_features == 5
    assert head.class_predictor.bias.tolist() == pytest.approx([-4.59512] * 5)
    with pytest.raises(ConfigError, match="CLASS_LOSS: there is no 'bce'"):
        build(class_loss="bce")


def test_mixed_precision_stays_near():
    neck, head = build_recorded("masks")
    neck, head = neck.float(), head.float()
    features = {name: x.float() for name, x in make_features().items()}
    with torch.no_grad():
        exact = head(neck(features), make_images())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = head(neck(features), make_images())
    assert mixed.class_logits.dtype == torch.bfloat16
    assert (mixed.class_logits - exact.class_logits).abs().max() < 0.1
    assert (mixed.boxes_norm - exact.boxes_norm).abs().max() < 0.02
    difference = (mixed.mask_logits - exact.mask_logits).abs().max()
    assert difference < 0.05 * exact.mask_logits.abs().max()


def test_dropout_is_drawn_from_pytorchs_generator():
    neck, head = build()
    features = {name: x.float() for name, x in make_features().items()}
    images = make_images()
    outputs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outputs.append(head(neck(features), images).boxes_norm)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_every_parameter_learns():
    torch.manual_seed(0)
    neck, head = build(masks=True)
    # The first layer of the decoder starts with zeros, so that its values are nothing but biases,
    # which are 0 at the start.
    nn.init.normal_(head.decoder.layers[0].self_attention.in_proj_bias)
    features = {name: x.float() for name, x in make_features().items()}
    found = head(neck(features), make_images())
    outputs = (found.class_logits, found.boxes_norm, found.mask_logits)
    sum(output.square().sum() for output in outputs).backward()
    parameters = [*neck.named_parameters(), *head.named_parameters()]
    assert all(parameter.grad.isfinite().all() for _, parameter in parameters)
    still = {name for name, parameter in parameters if not parameter.grad.abs().max() > 0}
    assert not still


def test_masks_want_finer_maps_and_enough_channels():
    cfg = get_config()
    cfg.MODEL.HEAD.NAME, cfg.MODEL.MASK_ON = "DETRHead", True
    cfg.MODEL.CRITERION.CLASS_LOSS = "softmax"
    with pytest.raises(ConfigError, match=r"IN_STRIDES: masks want finer maps .*, got one stride"):
        build_head(cfg, {"p5": ShapeSpec(channels=256, stride=32)})
    shapes = {f"p{n}": ShapeSpec(channels=96, stride=2**n) for n in range(2, 6)}
    with pytest.raises(ConfigError, match=r"over 3 finer maps want .*CHANNELS a multiple of 128"):
        build_head(cfg, shapes)
