"""Converted weights give the outputs that the authors' program gave with them.

Numbers in the tables have six decimals; `tests/reference/detr.npz` has them all.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.checkpoint import load_weights, save_checkpoint
from yolov7.checkpoint.conversion import convert_weights
from yolov7.checkpoint.conversion.coco_classes import COCO_IDS, reduce_to_used_classes
from yolov7.checkpoint.conversion.detr import describe_detr, detr_name
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"
CONFIGS = ROOT / "configs" / "coco" / "detr"


def load(name):
    spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_cases():
    """`query_cases.py`, which imports its neighbour."""
    sys.path.insert(0, str(REFERENCE))
    try:
        return load("query_cases")
    finally:
        sys.path.remove(str(REFERENCE))


deterministic, detr_weights = load("deterministic"), load("detr_weights")

MASKS = ("MODEL.MASK_ON", True, "MODEL.NECK.IN_STRIDES", [4, 8, 16, 32])
# Config, overrides, and what the authors' state dict is made of.
MODELS = {
    "r50": ("detr_r50", (), {}),
    "r50_dc5": ("detr_r50_dc5", (), {}),
    "r50_pre_norm": ("detr_r50", ("MODEL.DETR.PRE_NORM", True), {"pre_norm": True}),
    "r50_learned": ("detr_r50", ("MODEL.DETR.POSITIONS", "learned"), {"learned": True}),
    "r101": ("detr_r101", (), {"blocks": detr_weights.R101}),
    "r50_masks": ("detr_r50", MASKS, {"masks": True}),
}
# Of the final layer: sum and mean absolute value of the logits, the first three of the first query
# and the last three of the last one, sum of the boxes, first and last box.
TABLE = {
    "r50": (
        1585.722307, 0.740876, (-1.175307, 0.471813, -0.097152), (0.170047, -0.080040, -0.413467),
        370.513142, (0.510301, 0.528443, 0.288793, 0.507124),
        (0.483367, 0.538425, 0.335487, 0.513290),
    ),
    "r50_dc5": (
        1319.060576, 0.774283, (-1.324555, 0.855484, -0.568339), (0.222627, 0.005659, -0.534818),
        374.217652, (0.496157, 0.555165, 0.330287, 0.484746),
        (0.512560, 0.538617, 0.324628, 0.500030),
    ),
    "r50_pre_norm": (
        -147.223617, 0.760221, (0.892983, 0.465834, 1.079680), (-0.363196, 0.320847, -0.430519),
        380.421161, (0.715639, 0.537070, 0.337259, 0.320746),
        (0.718392, 0.542540, 0.321632, 0.310758),
    ),
    "r50_learned": (
        1605.883269, 0.753713, (-1.098869, 0.122825, -0.048047), (0.286165, -0.101728, -0.498908),
        371.420449, (0.539453, 0.530849, 0.294189, 0.480608),
        (0.510100, 0.530309, 0.336365, 0.492329),
    ),
    "r101": (
        864.643101, 0.796734, (-0.881917, 0.602913, -0.219564), (0.416981, -0.215767, -0.190951),
        342.323474, (0.433753, 0.484906, 0.323024, 0.455487),
        (0.441795, 0.468072, 0.341588, 0.474464),
    ),
    "r50_masks": (
        902.856615, 0.851964, (-0.965988, 1.596306, 0.618039), (-0.207784, -0.139657, 1.313845),
        378.899068, (0.494518, 0.529419, 0.387195, 0.506674),
        (0.463680, 0.545748, 0.387948, 0.473821),
    ),
}  # fmt: skip


def build(name, *overrides, classes=91, device="cpu"):
    overrides = ["MODEL.DEVICE", device, "MODEL.YOLO.CLASSES", classes, *overrides]
    with torch.device(device):
        return build_detector(load_config(CONFIGS / f"{name}.yaml", overrides)).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def two_images():
    """96 x 128, and 60 x 90 padded to it; what is not an image is 0."""
    batch = deterministic.image_batch(2, 96, 128)
    batch[1, :, 60:] = 0
    batch[1, :, :, 90:] = 0
    assert batch.sum().item() == pytest.approx(14038.750168, abs=1e-6)
    return ImageList(batch, [(96, 128), (60, 90)])


def build_converted(model_name):
    name, overrides, kind = MODELS[model_name]
    model = build(name, *overrides)
    state = deterministic.fill_state(detr_weights.detr_shapes(**kind))
    model.double().load_state_dict(convert_weights("detr", state, shapes_of(model)))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("model_name", MODELS)
def test_outputs_are_the_authors(model_name):
    model, images, recorded = (
        build_converted(model_name),
        two_images(),
        np.load(REFERENCE / "detr.npz"),
    )
    with torch.no_grad():
        found = model.head(model.neck(model.backbone(images.tensor)), images)
        alone = [
            model.predict(ImageList(images.tensor[index : index + 1], [size]))
            for index, size in enumerate(images.image_sizes)
        ]
    outputs = {"logits": (found.class_logits, 9973), "boxes": (found.boxes_norm, 97)}
    if found.mask_logits is not None:
        outputs["masks"] = (found.mask_logits, 2503)
    for name, (values, step) in outputs.items():
        sums = values.flatten(2).sum(-1)
        expected = {part: recorded[f"{model_name}_{name}_{part}"] for part in ("sums", "values")}
        np.testing.assert_allclose(values.flatten()[::step], expected["values"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(sums, expected["sums"], rtol=0, atol=1e-7)
        mean = recorded[f"{model_name}_{name}_absolute_mean"]
        assert values.abs().mean().item() == pytest.approx(float(mean), abs=1e-11)

    logits, boxes = found.class_logits[-1], found.boxes_norm[-1]
    parts = (
        logits.sum(), logits.abs().mean(), logits[0, 0, :3], logits[1, 99, -3:],
        boxes.sum(), boxes[0, 0], boxes[1, 99],
    )  # fmt: skip
    for part, expected in zip(parts, TABLE[model_name], strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=5.1e-7)

    for index, single in enumerate(alone):
        assert torch.allclose(single.class_logits[-1, 0], logits[index], rtol=0, atol=1e-10)
        assert torch.allclose(single.boxes_norm[-1, 0], boxes[index], rtol=0, atol=1e-10)


# Of R50 before they are weighted: the final layer's, then those of layers 0 to 4.
LOSSES = {
    "loss_class": (5.369383, 5.510546, 5.942885, 4.261807, 5.203970, 5.347643),
    "loss_l1": (0.447837, 0.523517, 0.452889, 0.559277, 0.472751, 0.404498),
    "loss_box": (0.933192, 0.977041, 1.055211, 0.935479, 0.821855, 0.786685),
}


@pytest.mark.slow
def test_losses_and_matches_are_the_authors():
    model, images = build_converted("r50"), two_images()
    targets = load_cases().two_images()
    with torch.no_grad():
        predictions = model.head(model.neck(model.backbone(images.tensor)), images)
        losses = model.criterion(predictions, targets)
        queries = model.criterion.assigner(predictions, targets)
    assert sum(losses.values()).item() == pytest.approx(56.959011, abs=6e-7)
    for name, expected in LOSSES.items():
        names = [name, *(f"{name}_{layer}" for layer in range(5))]
        found = [losses[key].item() / model.criterion.loss_weights[name] for key in names]
        assert found == pytest.approx(expected, abs=6e-7)
    assert queries[-1].tolist() == [1, 7, 17, 4, 17]


@pytest.mark.slow
def test_what_lies_between_is_the_authors():
    """Sum, mean absolute value and first three numbers of maps and layers of R50, and of DC5."""
    images = two_images()
    model = build_converted("r50")
    with torch.no_grad():
        c5 = model.backbone(images.tensor)["c5"]
        projected = model.neck({"c5": c5})["p5"]
        seen = {}
        hooks = [
            module.register_forward_hook(
                lambda _, __, output, name=name: seen.update({name: output})
            )
            for name, module in (("memory", model.head.encoder), ("states", model.head.decoder))
        ]
        model.head({"p5": projected}, images)
        for hook in hooks:
            hook.remove()
        dilated = build_converted("r50_dc5").backbone(images.tensor)["c5"]
    states = seen["states"]
    expected = [
        (c5, 76921.494308, 1.564972, (0.126493, 1.084241, 0.802333)),
        (dilated, 307339.742550, 1.563211, (0.126493, 0.687042, 1.084241)),
        (projected, -1869.879055, 1.970849, (3.242330, 5.309021, 4.690890)),
        # (B, cells, D) here, (B, D, rows, columns) there.
        (seen["memory"].transpose(1, 2), -84.729761, 0.761213, (-0.800381, -0.789772, -0.815110)),
        (states[0], 313.986910, 0.723912, (-0.489155, -0.011188, 0.111509)),
        (states[5], -518.474972, 0.751051, (-1.295370, 0.179179, 0.738823)),
    ]
    for values, total, mean, first in expected:
        assert values.sum().item() == pytest.approx(total, abs=6e-7)
        assert values.abs().mean().item() == pytest.approx(mean, abs=6e-7)
        assert values.flatten()[:3].tolist() == pytest.approx(first, abs=6e-7)


@pytest.fixture(scope="module")
def authors_r50():
    """The authors' entries, of which only the last layers have values that differ."""
    return {
        key: deterministic.fill_entry(key, shape).float() if "embed" in key else torch.ones(shape)
        for key, shape in detr_weights.detr_shapes().items()
    }


@pytest.fixture(scope="module")
def meta_shapes():
    def of(*overrides, classes=91, name="detr_r50"):
        return shapes_of(build(name, *overrides, classes=classes, device="meta"))

    return of


@pytest.mark.parametrize("model_name", MODELS)
def test_every_entry_has_its_place(model_name, meta_shapes):
    name, overrides, kind = MODELS[model_name]
    authors = detr_weights.detr_shapes(**kind)
    counts = {"r101": 713, "r50_pre_norm": 460, "r50_learned": 460, "r50_masks": 490}
    assert len(authors) == counts.get(model_name, 458)
    renamed = {detr_name(key): shape for key, shape in authors.items()}
    assert renamed == meta_shapes(*overrides, name=name)


def test_91_classes_stay_as_they_are(authors_r50, meta_shapes, caplog):
    shapes = meta_shapes()
    state = convert_weights("detr", {"model": authors_r50, "epoch": 1}, shapes)
    assert list(state) == list(shapes)
    assert torch.equal(state["head.class_predictor.weight"], authors_r50["class_embed.weight"])
    assert not caplog.records


def test_80_classes_are_the_used_ids_and_no_object(authors_r50, meta_shapes, caplog):
    """Class 0 is id 1, class 11 (stop sign) id 13, class 79 (toothbrush) id 90."""
    with caplog.at_level(logging.INFO):
        state = convert_weights("detr", authors_r50, meta_shapes(classes=80))
    theirs, ours = authors_r50["class_embed.bias"], state["head.class_predictor.bias"]
    assert ours.shape == (81,)
    for index, number in ((0, 1), (10, 11), (11, 13), (79, 90), (80, 91)):
        assert ours[index] == theirs[number]
        weight = state["head.class_predictor.weight"][index]
        assert torch.equal(weight, authors_r50["class_embed.weight"][number])
    assert "ids 0 to 90, the model has 80 classes" in caplog.text


def test_ids_that_are_used():
    assert len(COCO_IDS) == 80
    spans = [
        (1, 11),
        (13, 25),
        (27, 28),
        (31, 44),
        (46, 65),
        (67, 67),
        (70, 70),
        (72, 82),
        (84, 90),
    ]
    assert list(COCO_IDS) == [n for first, last in spans for n in range(first, last + 1)]


def test_sigmoids_have_no_row_behind_the_ids():
    state = {"classes": torch.arange(91.0), "other": torch.zeros(91)}
    reduced = reduce_to_used_classes(state, {"classes": (80,), "other": (80,)}, ["classes"])
    assert reduced["classes"].tolist() == [float(n) for n in COCO_IDS]
    assert reduced["other"] is state["other"]


def test_other_classes_and_queries_keep_everything_else(authors_r50, meta_shapes, caplog):
    shapes = meta_shapes("MODEL.DETR.NUM_OBJECT_QUERIES", 50, classes=3)
    state = convert_weights("detr", authors_r50, shapes)
    left_out = {"head.class_predictor.weight", "head.class_predictor.bias", "head.queries.weight"}
    assert set(shapes) - set(state) == left_out
    for name in left_out:
        assert name in caplog.text
    assert "(file [92, 256], model [4, 256])" in caplog.text


def test_a_detector_without_masks_starts_one_with_masks(authors_r50, meta_shapes, caplog):
    shapes = meta_shapes(*MASKS)
    state = convert_weights("detr", authors_r50, shapes)
    missing = set(shapes) - set(state)
    assert len(missing) == 32 and all(name.startswith("head.mask_head.") for name in missing)
    assert "head.mask_head.predictor.weight (file none, model [1, 16, 3, 3])" in caplog.text


def test_another_backbone_or_transformer_is_an_error(authors_r50, meta_shapes):
    with pytest.raises(
        WeightsError, match=r"no entry for backbone\.body\.layer3\.6.*3-4-6-3 blocks"
    ):
        convert_weights("detr", authors_r50, meta_shapes(name="detr_r101"))
    with pytest.raises(WeightsError, match=r"6 \+ 6 layers.*describes .* 5 \+ 6 layers"):
        convert_weights("detr", authors_r50, meta_shapes("MODEL.DETR.ENC_LAYERS", 5))
    with pytest.raises(WeightsError, match="got one with layers, 3"):
        convert_weights("detr", {"layers": 3, 3: "x"}, meta_shapes())
    assert describe_detr({"a": (1,)}) == "no DETR (it starts with a)"


def test_files_of_the_authors_trainer_and_their_norms_counters(tmp_path):
    """Their checkpoints hold the command line; torchvision's norms would have counters."""
    weights = {
        "input_proj.weight": torch.rand(4, 2, 1, 1),
        "input_proj.bias": torch.rand(4),
        "backbone.0.body.bn1.num_batches_tracked": torch.tensor(3),
    }
    namespace = argparse.Namespace(lr=1e-4, masks=False)
    torch.save({"model": weights, "args": namespace, "epoch": 3}, tmp_path / "checkpoint.pth")
    shapes = {"neck.conv.weight": (4, 2, 1, 1), "neck.conv.bias": (4,)}
    state = convert_weights("detr", tmp_path / "checkpoint.pth", shapes)
    assert list(state) == list(shapes)
    assert torch.equal(state["neck.conv.bias"], weights["input_proj.bias"])


@pytest.mark.slow
def test_a_converted_file_loads_completely(tmp_path, authors_r50):
    model = build("detr_r50", classes=80)
    save_checkpoint(
        tmp_path / "ours.pth", {"model": convert_weights("detr", authors_r50, shapes_of(model))}
    )
    load_weights(model, tmp_path / "ours.pth").require_complete(tmp_path / "ours.pth")
    assert torch.equal(model.head.queries.weight.detach(), authors_r50["query_embed.weight"])
