"""Converted weights give the outputs that the authors' program gave with them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.checkpoint import save_checkpoint
from yolov7.checkpoint.conversion import CONVERTERS, convert_weights, convert_yolox
from yolov7.checkpoint.conversion.renaming import fit_to_shapes
from yolov7.checkpoint.conversion.yolox import describe_yolox, yolox_name
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.utils.errors import ConfigError, WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"
KEYS = json.loads((REFERENCE / "yolox_keys.json").read_text())


def load_deterministic():
    spec = importlib.util.spec_from_file_location("deterministic", REFERENCE / "deterministic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


deterministic = load_deterministic()


def build(name, *overrides, device="cpu"):
    cfg = load_config(
        ROOT / "configs" / "coco" / f"yolox_{name}.yaml", ["MODEL.DEVICE", device, *overrides]
    )
    with torch.device(device):
        return build_detector(cfg).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def nano():
    return build("nano")


@pytest.fixture(scope="module")
def authors_nano():
    return {key: torch.zeros(shape) for key, shape in KEYS["nano"].items()}


def authors_view(predictions):
    """Our predictions as the two tensors (B, P, 85) that the authors' program makes."""
    objectness = predictions.objectness_logits[..., None]
    raw = torch.cat([predictions.box_deltas, objectness, predictions.class_logits], dim=-1)
    boxes = YOLOXBoxCoder().decode(
        predictions.box_deltas, predictions.centers, predictions.strides, predictions.anchors
    )
    sizes = boxes[..., 2:] - boxes[..., :2]
    centers = (boxes[..., 2:] + boxes[..., :2]) / 2
    decoded = torch.cat([centers, sizes, raw[..., 4:].sigmoid()], dim=-1)
    return {"raw": raw, "decoded": decoded}


def test_deterministic_numbers():
    """Self-check values of the rule, computed by another program."""
    first = [0.42705137047631125, 0.8609022726013481, 0.5843283509109013, 0.06683358401703465]
    assert deterministic.uniform("a", 4).tolist() == first
    assert deterministic.uniform("image", 3).tolist() == [
        0.10531966072497434,
        0.026400220870726465,
        0.597576393617719,
    ]
    image = deterministic.image_batch(2, 96, 128)
    assert image[0, 0, 0, :3].tolist() == pytest.approx([0.605320, 0.523951, 1.087792], abs=1e-6)
    fill = deterministic.fill_entry
    weight = fill("class_embed.weight", (92, 256))
    assert weight[0, :3].tolist() == pytest.approx([0.102853, 0.025075, 0.079636], abs=1e-6)
    bias = fill("class_embed.bias", (92,))
    assert bias[:2].tolist() == pytest.approx([-0.001588, 0.099358], abs=1e-6)
    variance = fill("backbone.0.body.bn1.running_var", (64,))
    assert variance[:2].tolist() == pytest.approx([0.567936, 0.772568], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "gain"),
    [
        ("nano", (96, 128), 1.0),
        ("nano", (96, 128), 1.35),
        pytest.param("nano", (224, 288), 1.0, marks=pytest.mark.slow),
        ("tiny", (96, 128), 1.25),
        pytest.param("tiny", (96, 128), 1.0, marks=pytest.mark.slow),
        pytest.param("tiny", (224, 288), 1.25, marks=pytest.mark.slow),
        ("s", (96, 128), 1.2),
        pytest.param("s", (96, 128), 1.0, marks=pytest.mark.slow),
        pytest.param("s", (224, 288), 1.0, marks=pytest.mark.slow),
        pytest.param("darknet53", (96, 128), 1.0, marks=pytest.mark.slow),
        pytest.param("darknet53", (96, 128), 0.95, marks=pytest.mark.slow),
        pytest.param("darknet53", (224, 288), 0.95, marks=pytest.mark.slow),
    ],
)
def test_outputs_are_the_authors(name, size, gain):
    recorded = np.load(REFERENCE / "yolox.npz")
    state = {
        key: value * gain if value.ndim >= 2 else value
        for key, value in deterministic.fill_state(KEYS[name]).items()
    }
    model = build(name)
    weights = convert_yolox({"model": state}, shapes_of(model))
    step = 97 if size == (96, 128) else 397
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        model = model.to(dtype)
        model.load_state_dict(weights)
        images = ImageList(deterministic.image_batch(2, *size).to(dtype), [size] * 2)
        with torch.no_grad():
            found = authors_view(model.predict(images))
        for kind, values in found.items():
            prefix = f"{name}_{size[0]}x{size[1]}_gain{gain}_{kind}_"
            values = values.double()
            for what, ours in {
                "values": values.flatten()[::step],
                "channel_sums": values.sum(dim=1),
                "place_sums": values.sum(dim=2),
                "abs_mean": values.abs().mean(),
                "abs_max": values.abs().max(),
            }.items():
                expected = recorded[prefix + what]
                difference = np.abs(ours.numpy() - expected).max()
                assert difference <= tolerance * np.abs(expected).max(), (prefix + what, dtype)


@pytest.mark.parametrize("name", KEYS)
def test_every_entry_is_used_once_and_in_our_order(name):
    model = build(name, device="meta")
    state = {key: torch.full(shape, i) for i, (key, shape) in enumerate(KEYS[name].items())}
    converted = convert_yolox(state, shapes_of(model))
    assert list(converted) == list(model.state_dict())
    assert sorted(
        value.flatten()[0].item() for value in map(torch.atleast_1d, converted.values())
    ) == list(range(len(state)))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.backbone.stem.conv.bn.weight", "backbone.stem.conv.norm.weight"),
        ("backbone.backbone.dark3.0.dconv.conv.weight", "backbone.dark3.0.depthwise.conv.weight"),
        ("backbone.backbone.dark5.1.conv2.bn.bias", "backbone.dark5.1.mix.norm.bias"),
        (
            "backbone.backbone.dark5.2.m.0.conv2.pconv.conv.weight",
            "backbone.dark5.2.blocks.0.conv2.pointwise.conv.weight",
        ),
        ("backbone.C3_n3.conv1.conv.weight", "neck.bottom_up_blocks.0.deep.conv.weight"),
        ("backbone.lateral_conv0.conv.weight", "neck.reduce_convs.1.conv.weight"),
        ("head.reg_preds.2.bias", "head.box_predictors.2.bias"),
        ("backbone.backbone.stem.0.conv.weight", "backbone.stem.conv.weight"),
        ("backbone.backbone.stem.2.layer2.bn.bias", "backbone.dark1.1.conv2.norm.bias"),
        ("backbone.backbone.dark5.9.bn.weight", "neck.blocks.2.4.norm.weight"),
        ("backbone.backbone.dark3.8.layer1.bn.bias", "backbone.dark3.8.conv1.norm.bias"),
        ("backbone.backbone.dark5.5.conv.weight", "neck.blocks.2.0.conv.weight"),
        ("backbone.backbone.dark5.7.conv1.bn.bias", "neck.blocks.2.2.squeeze.norm.bias"),
        ("backbone.out1_cbl.conv.weight", "neck.reduce_convs.1.conv.weight"),
        ("backbone.out2.4.bn.weight", "neck.blocks.0.4.norm.weight"),
    ],
)
def test_names(theirs, ours):
    assert yolox_name(theirs) == ours


def test_weights_of_another_size_say_what_they_are(nano):
    state = {key: torch.zeros(shape) for key, shape in KEYS["s"].items()}
    with pytest.raises(WeightsError) as error:
        convert_yolox(state, shapes_of(nano))
    assert str(error.value) == (
        "backbone.backbone.stem.conv.conv.weight has the shape [32, 12, 3, 3], expected "
        "[16, 12, 3, 3] as backbone.stem.conv.conv.weight. The weights look like YOLOX-s (stem of "
        "32 channels, 1 block(s) in the first stage) with 80 classes; the config describes "
        "YOLOX-nano (stem of 16 channels, 1 block(s) in the first stage, depthwise) with 80 "
        "classes. Use the config that fits the weights, or other weights"
    )


def test_weights_of_the_other_backbone_say_what_they_are(nano):
    state = {key: torch.zeros(shape) for key, shape in KEYS["darknet53"].items()}
    with pytest.raises(WeightsError) as error:
        convert_yolox(state, shapes_of(nano))
    assert (
        "The weights look like YOLOX-darknet53 (Darknet, stem of 32 channels, 8 block(s) in the "
        "third stage) with 80 classes; the config describes YOLOX-nano (stem of 16"
    ) in str(error.value)


def test_weights_of_another_number_of_classes(authors_nano):
    model = build("nano", "MODEL.YOLO.CLASSES", "3", device="meta")
    with pytest.raises(WeightsError, match=r"head\.cls_preds\.0\.weight.*80 classes; .* 3 classes"):
        convert_yolox(authors_nano, shapes_of(model))


def test_missing_and_left_over_entries_are_named(nano, authors_nano):
    lacking = {
        key: value for key, value in authors_nano.items() if "C3_p4.conv1.bn.bias" not in key
    }
    with pytest.raises(WeightsError, match=r"no entry for neck\.top_down_blocks\.1\.deep\.norm\.b"):
        convert_yolox(lacking, shapes_of(nano))
    more = {**authors_nano, "backbone.C3_p5.conv1.conv.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"model has no entry for backbone\.C3_p5\.conv1\.conv"):
        convert_yolox(more, shapes_of(nano))


def test_two_entries_of_one_name_are_an_error():
    with pytest.raises(WeightsError, match="the entries a and b are the same: c"):
        fit_to_shapes(
            {"a": torch.zeros(1), "b": torch.zeros(1)},
            {"c": (1,)},
            rename=lambda name: "c",
            describe=str,
        )


@pytest.mark.parametrize(
    "source", [{}, {"model": {}}, {"state": 1, "epoch": 2}, {"model": {"a": [1, 2]}}]
)
def test_what_is_no_checkpoint(nano, source):
    with pytest.raises(WeightsError, match="expected YOLOX's checkpoint"):
        convert_yolox(source, shapes_of(nano))


def test_other_models_weights(nano):
    with pytest.raises(WeightsError, match=r"look like no YOLOX .*starts with conv1\.weight"):
        convert_yolox({"conv1.weight": torch.zeros(64, 3, 7, 7)}, shapes_of(nano))


def test_file_of_the_authors_trainer(tmp_path, nano, authors_nano):
    """It has NumPy's numbers beside the weights, which a safe loader refuses by default."""
    path = tmp_path / "best_ckpt.pth"
    torch.save(
        {
            "start_epoch": 300,
            "model": authors_nano,
            "optimizer": {"state": {}, "param_groups": []},
            "best_ap": np.float64(0.25),
            "curr_ap": np.float64(0.24),
        },
        path,
    )
    assert list(convert_yolox(path, shapes_of(nano))) == list(nano.state_dict())


def test_file_with_code_or_damage_is_refused(tmp_path, nano):
    torch.save({"model": Path("x")}, tmp_path / "code.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04 no archive")
    for name in ("code.pth", "damaged.pth", "absent.pth"):
        with pytest.raises(WeightsError, match=name):
            convert_yolox(tmp_path / name, shapes_of(nano))


def test_sources_by_name(nano, authors_nano, tmp_path):
    save_checkpoint(tmp_path / "bare.pth", authors_nano)
    found = convert_weights("yolox", tmp_path / "bare.pth", shapes_of(nano))
    assert list(found) == list(nano.state_dict())
    with pytest.raises(ConfigError, match=r"no converter 'yolo'\. Did you mean 'yolox'\?"):
        convert_weights("yolo", {}, {})
    assert set(CONVERTERS) >= {"yolox"}


def test_description_of_an_unpublished_size():
    text = describe_yolox(
        {
            "backbone.stem.conv.conv.weight": (8, 12, 3, 3),
            "head.class_predictors.0.weight": (2, 32, 1, 1),
        }
    )
    assert text.startswith("a YOLOX of no published size (stem of 8 channels, 0 block(s)")
