"""Converted weights give the outputs and losses that the authors' program gave with them.

Numbers in the tables have six decimals; `tests/reference/anchor_detr.npz` has them all.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.checkpoint.conversion import convert_weights
from yolov7.checkpoint.conversion.anchor_detr import anchor_detr_name, describe_anchor_detr
from yolov7.checkpoint.conversion.coco_classes import COCO_IDS
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"
CONFIGS = ROOT / "configs" / "coco" / "detr"


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

# Config, overrides, and what the authors' state dict is made of.
MODELS = {
    "DC5": ("anchordetr_r50_dc5", (), {}),
    "C5": ("anchordetr_r50", (), {}),
    "plain": ("anchordetr_r50", ("MODEL.ANCHOR_DETR.ATTENTION", "plain"), {"row_column": False}),
    "grid": ("anchordetr_r50", ("MODEL.ANCHOR_DETR.POINTS", "grid"), {"learned": False}),
}
# Of the final layer: sum and mean absolute value of the logits, the first three of the first query
# and the last three of the last one, sum of the boxes, the first two boxes and the last one.
TABLE = {
    "DC5": (
        14690.586380, 0.875187, (-0.407995, -1.630448, 0.131552), (0.180905, 0.281598, -0.490336),
        3130.467261, (0.000015, 0.999979, 0.410832, 0.405925),
        (0.406873, 0.594902, 0.410642, 0.405573), (0.272007, 0.090841, 0.390763, 0.424980),
    ),
    "C5": (
        14613.983370, 0.871158, (-0.430595, -1.598354, 0.033708), (0.283384, -0.029778, -0.449745),
        3134.647220, (0.000014, 0.999980, 0.406530, 0.405651),
        (0.400305, 0.605675, 0.406482, 0.405410), (0.280513, 0.094391, 0.387962, 0.422572),
    ),
    "plain": (
        24409.194585, 0.882158, (-0.923875, 1.058117, -0.505233), (0.653668, 0.364538, 0.448748),
        2910.780163, (0.000015, 0.999955, 0.404858, 0.386834),
        (0.418104, 0.402633, 0.405115, 0.386685), (0.283093, 0.046374, 0.412145, 0.390262),
    ),
    "grid": (
        14079.122471, 0.871173, (-0.431496, -1.597627, 0.033098), (0.284774, -0.029637, -0.452083),
        3045.888181, (0.041214, 0.015140, 0.406625, 0.405883),
        (0.041209, 0.046794, 0.406637, 0.405893), (0.978608, 0.944498, 0.387632, 0.422311),
    ),
}  # fmt: skip
# Losses of DC5 before they are weighted: the final layer's, then those of layers 0 to 4.
LOSSES = {
    "loss_class": (9995.766655, 7060.122068, 8560.736649, 9016.499048, 9949.114664, 9780.808222),
    "loss_l1": (0.278767, 0.310015, 0.329454, 0.306553, 0.582326, 0.314752),
    "loss_box": (0.495693, 0.511944, 0.541083, 0.539543, 0.727599, 0.553565),
}


def build(name, *overrides, classes=91, device="cpu"):
    overrides = ["MODEL.DEVICE", device, "MODEL.YOLO.CLASSES", classes, *overrides]
    with torch.device(device):
        return build_detector(load_config(CONFIGS / f"{name}.yaml", overrides)).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def build_converted(model_name):
    name, overrides, kind = MODELS[model_name]
    model = build(name, *overrides)
    state = authors.fill_state(authors.anchor_detr_shapes(**kind))
    model.double().load_state_dict(convert_weights("anchor_detr", state, shapes_of(model)))
    return model


def two_images():
    """96 x 128, and 60 x 90 padded to it; what is not an image is 0."""
    batch = deterministic.image_batch(2, 96, 128)
    batch[1, :, 60:] = 0
    batch[1, :, :, 90:] = 0
    return ImageList(batch, [(96, 128), (60, 90)])


@pytest.mark.slow
@pytest.mark.parametrize("model_name", MODELS)
def test_outputs_are_the_authors(model_name):
    model, images = build_converted(model_name), two_images()
    recorded = np.load(REFERENCE / "anchor_detr.npz")
    with torch.no_grad():
        found = model.head(model.neck(model.backbone(images.tensor)), images)
        alone = [
            model.predict(ImageList(images.tensor[index : index + 1], [size]))
            for index, size in enumerate(images.image_sizes)
        ]
    for name, values, step in (
        ("logits", found.class_logits, 9973),
        ("boxes", found.boxes_norm, 97),
    ):
        sums = values.flatten(2).sum(-1)
        expected = {part: recorded[f"{model_name}_{name}_{part}"] for part in ("sums", "values")}
        np.testing.assert_allclose(values.flatten()[::step], expected["values"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(sums, expected["sums"], rtol=0, atol=1e-7)
        mean = recorded[f"{model_name}_{name}_absolute_mean"]
        assert values.abs().mean().item() == pytest.approx(float(mean), abs=1e-11)

    logits, boxes = found.class_logits[-1], found.boxes_norm[-1]
    parts = (
        logits.sum(), logits.abs().mean(), logits[0, 0, :3], logits[-1, -1, -3:],
        boxes.sum(), boxes[0, 0], boxes[0, 1], boxes[-1, -1],
    )  # fmt: skip
    for part, expected in zip(parts, TABLE[model_name], strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=5.1e-7)

    for index, single in enumerate(alone):
        assert torch.allclose(single.class_logits[-1, 0], logits[index], rtol=0, atol=1e-10)
        assert torch.allclose(single.boxes_norm[-1, 0], boxes[index], rtol=0, atol=1e-10)


@pytest.mark.slow
def test_losses_are_the_authors():
    model, images, query_cases = build_converted("DC5"), two_images(), load("query_cases")
    with torch.no_grad():
        found = model.head(model.neck(model.backbone(images.tensor)), images)
        losses = model.criterion(found, query_cases.two_images())
    weights = {"loss_class": 2.0, "loss_l1": 5.0, "loss_box": 2.0}
    assert len(losses) == 18
    for name, values in LOSSES.items():
        for suffix, value in zip(("", "_0", "_1", "_2", "_3", "_4"), values, strict=True):
            assert losses[name + suffix].item() / weights[name] == pytest.approx(value, abs=6e-7)
    assert sum(losses.values()).item() == pytest.approx(108743.442798, abs=1e-6)
    matched = model.criterion.assigner(found, query_cases.two_images())
    # The object of each pair: those of the first image come first.
    assert matched[-1].tolist() == [74, 660, 712, 78, 190]


@pytest.mark.slow
def test_what_lies_between_is_the_authors():
    """Sum, mean absolute value and first three numbers of maps of C5."""
    model, images = build_converted("C5"), two_images()
    with torch.no_grad():
        c5 = model.backbone(images.tensor)["c5"]
        projected = model.neck({"c5": c5})["p5"]
    assert c5.sum().item() == pytest.approx(88716.013258, abs=6e-7)
    assert c5.abs().mean().item() == pytest.approx(1.804932, abs=6e-7)
    assert projected.sum().item() == pytest.approx(-34.391699, abs=6e-7)
    assert projected.abs().mean().item() == pytest.approx(0.798873, abs=6e-7)
    first = (-0.848684, -1.272669, -1.118030)
    assert projected.flatten()[:3].tolist() == pytest.approx(first, abs=6e-7)


@pytest.fixture(scope="module")
def authors_r50():
    """The authors' entries; all but those of predictors and queries are 1."""
    shapes = authors.anchor_detr_shapes()
    differing = ("class_embed", "bbox_embed", "position", "pattern")
    filled = authors.fill_state({k: v for k, v in shapes.items() if any(x in k for x in differing)})
    return {k: filled[k].float() if k in filled else torch.ones(v) for k, v in shapes.items()}


@pytest.fixture(scope="module")
def meta_shapes():
    def of(*overrides, classes=91, name="anchordetr_r50"):
        return shapes_of(build(name, *overrides, classes=classes, device="meta"))

    return of


@pytest.mark.parametrize("model_name", MODELS)
def test_every_entry_has_its_place(model_name, meta_shapes):
    """Five copies of four linear layers are left out, and with plain attention the axes' codes."""
    name, overrides, kind = MODELS[model_name]
    theirs = authors.anchor_detr_shapes(**kind)
    assert len(theirs) == (506 if model_name == "grid" else 507)
    renamed = {anchor_detr_name(key): shape for key, shape in theirs.items()}
    ours = meta_shapes(*overrides, name=name)
    left_out = {key for key in renamed if key not in ours}
    copies = {key for key in left_out if "_embed." in key}
    assert len(copies) == 5 * 8
    assert len(left_out - copies) == (4 if model_name == "plain" else 0)
    assert {key: shape for key, shape in renamed.items() if key in ours} == ours


def test_plain_attention_leaves_out_what_it_never_used(meta_shapes):
    shapes = meta_shapes("MODEL.ANCHOR_DETR.ATTENTION", "plain")
    theirs = authors.anchor_detr_shapes(row_column=False)
    state = convert_weights("anchor_detr", {k: torch.ones(v) for k, v in theirs.items()}, shapes)
    assert list(state) == list(shapes)


def test_91_classes_stay_as_they_are(authors_r50, meta_shapes, caplog):
    shapes = meta_shapes()
    state = convert_weights("anchor_detr", {"model": authors_r50, "epoch": 1}, shapes)
    assert list(state) == list(shapes)
    for ours, theirs in {
        "head.class_predictor.weight": "transformer.class_embed.0.weight",
        "head.box_predictor.layers.2.bias": "transformer.bbox_embed.5.layers.2.bias",
        "head.transformer.patterns": "transformer.pattern.weight",
        "head.transformer.points.weight": "transformer.position.weight",
    }.items():
        assert torch.equal(state[ours], authors_r50[theirs])
    assert not caplog.records


def test_80_classes_are_the_used_ids(authors_r50, meta_shapes, caplog):
    state = convert_weights("anchor_detr", authors_r50, meta_shapes(classes=80))
    for part in ("weight", "bias"):
        theirs = authors_r50[f"transformer.class_embed.0.{part}"]
        assert torch.equal(state[f"head.class_predictor.{part}"], theirs[list(COCO_IDS)])
    assert "ids 0 to 90, the model has 80 classes" in caplog.text


def test_other_classes_points_and_patterns_keep_everything_else(authors_r50, meta_shapes, caplog):
    overrides = ["MODEL.ANCHOR_DETR.NUM_POINTS", 100, "MODEL.ANCHOR_DETR.NUM_PATTERNS", 2]
    shapes = meta_shapes(*overrides, classes=3)
    state = convert_weights("anchor_detr", authors_r50, shapes)
    left_out = {
        "head.class_predictor.weight",
        "head.class_predictor.bias",
        "head.transformer.points.weight",
        "head.transformer.patterns",
    }
    assert set(shapes) - set(state) == left_out
    for name in left_out:
        assert name in caplog.text
    assert "(file [91, 256], model [3, 256])" in caplog.text


def test_a_grid_has_no_place_for_learned_points(authors_r50, meta_shapes, caplog):
    shapes = meta_shapes("MODEL.ANCHOR_DETR.POINTS", "grid")
    assert set(convert_weights("anchor_detr", authors_r50, shapes)) == set(shapes)
    assert "head.transformer.points.weight (file [300, 2], model none)" in caplog.text


def test_copies_that_differ_are_an_error(authors_r50, meta_shapes):
    name = "transformer.bbox_embed.3.layers.0.bias"
    changed = {**authors_r50, name: authors_r50[name] + 1}
    with pytest.raises(WeightsError, match=r"expected transformer\.bbox_embed\.3\.layers\.0\.bias"):
        convert_weights("anchor_detr", changed, meta_shapes())
    changed = {k: v for k, v in authors_r50.items() if ".class_embed.0." not in k}
    with pytest.raises(WeightsError, match=r"a copy of transformer\.class_embed\.0\.weight"):
        convert_weights("anchor_detr", changed, meta_shapes())


def test_other_models_are_errors_that_say_which(authors_r50, meta_shapes):
    with pytest.raises(WeightsError, match=r"row-column attention; .* and plain attention"):
        convert_weights(
            "anchor_detr", authors_r50, meta_shapes("MODEL.ANCHOR_DETR.ATTENTION", "plain")
        )
    with pytest.raises(WeightsError, match=r"6 \+ 6 layers.*describes .* 5 \+ 6 layers"):
        convert_weights("anchor_detr", authors_r50, meta_shapes("MODEL.ANCHOR_DETR.ENC_LAYERS", 5))
    levels = {f"input_proj.{n}.0.bias": torch.ones(256) for n in (1, 2)}
    with pytest.raises(WeightsError, match="several levels, of which this project builds only one"):
        convert_weights("anchor_detr", {**authors_r50, **levels}, meta_shapes())
    with pytest.raises(WeightsError, match="got one with layers, 3"):
        convert_weights("anchor_detr", {"layers": 3, 3: "x"}, meta_shapes())
    assert describe_anchor_detr({"a": (1,)}) == "no Anchor DETR (it starts with a)"


def test_files_of_the_authors_trainer(tmp_path, authors_r50, meta_shapes):
    """Their checkpoints hold the command line."""
    checkpoint = {"model": authors_r50, "args": argparse.Namespace(lr=1e-4), "epoch": 3}
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    shapes = meta_shapes()
    state = convert_weights("anchor_detr", tmp_path / "checkpoint.pth", shapes)
    assert list(state) == list(shapes)
    assert torch.equal(
        state["head.transformer.patterns"], authors_r50["transformer.pattern.weight"]
    )
