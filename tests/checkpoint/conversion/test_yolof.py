"""Converted weights give the outputs that the authors' program gave with them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from yolov7.checkpoint import save_checkpoint
from yolov7.checkpoint.conversion import convert_weights, convert_yolof
from yolov7.checkpoint.conversion.yolof import describe_yolof, yolof_name
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


deterministic, weights = load("deterministic"), load("yolof_weights")
CONFIGS = {
    "R_50_C5_1x": ("_base_/models/yolof", []),
    "R_101_C5_1x": ("_base_/models/yolof", ["MODEL.RESNETS.DEPTH", "101"]),
    "R_50_DC5_1x": ("coco/yolof_r50_dc5", []),
    "CSP_D_53_DC5_3x": ("coco/yolof_cspdarknet53_dc5", []),
}


def build(name: str, device: str = "cpu"):
    path, overrides = CONFIGS[name]
    cfg = load_config(ROOT / "configs" / f"{path}.yaml", ["MODEL.DEVICE", device, *overrides])
    with torch.device(device):
        return build_detector(cfg).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def by_cell(values: torch.Tensor, anchors: int) -> torch.Tensor:
    """Our order anchor, cell as the authors' cell, anchor."""
    return values.unflatten(1, (anchors, -1)).transpose(1, 2).flatten(1, 2)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("R_50_DC5_1x", "1"),
        pytest.param("R_50_C5_1x", "1.05", marks=pytest.mark.slow),
        ("CSP_D_53_DC5_3x", "1"),
        pytest.param("CSP_D_53_DC5_3x", "1.1", marks=pytest.mark.slow),
    ],
)
def test_outputs_are_the_authors(name: str, gain: str) -> None:
    recorded = np.load(REFERENCE / "yolof.npz")
    state = {
        key: value * float(gain) if value.ndim >= 2 and not key.startswith("pixel") else value
        for key, value in deterministic.fill_state(weights.MODELS[name]).items()
    }
    model = build(name).double()
    model.load_state_dict(convert_yolof({"model": state}, shapes_of(model)))
    images = ImageList(deterministic.image_batch(2, 96, 128), [(96, 128)] * 2)
    with torch.no_grad():
        predictions = model.predict(images)
    assert predictions.objectness_logits is None
    for kind, ours in {
        "logits": by_cell(predictions.class_logits, predictions.num_anchors),
        "deltas": by_cell(predictions.box_deltas, predictions.num_anchors),
    }.items():
        prefix = f"{name}_gain{gain}_{kind}_"
        for what, found in {
            "values": ours.flatten()[::97],
            "channel_sums": ours.sum(dim=1),
            "place_sums": ours.sum(dim=2),
            "abs_mean": ours.abs().mean(),
            "abs_max": ours.abs().max(),
        }.items():
            expected = recorded[prefix + what]
            difference = np.abs(found.numpy() - expected).max()
            assert difference <= 1e-8 * np.abs(expected).max(), prefix + what


@pytest.mark.parametrize("name", CONFIGS)
def test_every_entry_is_used_once_and_in_our_order(name: str) -> None:
    model, shapes = build(name, device="meta"), weights.MODELS[name]
    state = {key: torch.full(shape, i) for i, (key, shape) in enumerate(shapes.items())}
    converted = convert_yolof(state, shapes_of(model))
    assert list(converted) == list(model.state_dict())
    used = sorted(int(value.flatten()[0]) for value in converted.values())
    assert used == list(range(2, len(state))), "all but mean and deviation of the pixels"


def test_the_number_of_entries_is_the_authors() -> None:
    numbers = {name: len(shapes) for name, shapes in weights.MODELS.items()}
    assert numbers == {
        "R_50_C5_1x": 413, "R_50_DC5_1x": 413, "R_101_C5_1x": 668, "CSP_D_53_DC5_3x": 664,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.stem.conv1.norm.running_var", "backbone.stem.0.norm.running_var"),
        ("backbone.res4.5.conv3.weight", "backbone.res4.5.conv3.conv.weight"),
        ("backbone.res2.0.shortcut.norm.bias", "backbone.res2.0.shortcut.norm.bias"),
        ("backbone.bn1.weight", "backbone.stem.norm.weight"),
        ("backbone.layer3.stage_layers.0.downsample.0.weight", "backbone.dark3.deep.conv.weight"),
        ("backbone.layer3.stage_layers.7.bn2.bias", "backbone.dark3.blocks.7.conv2.norm.bias"),
        ("backbone.layer1.partial_transition1.1.bias", "backbone.dark1.shallow.norm.bias"),
        ("encoder.fpn_norm.weight", "neck.output_conv.norm.weight"),
        ("encoder.dilated_encoder_blocks.3.conv2.0.bias", "neck.blocks.3.conv2.conv.bias"),
        ("decoder.bbox_subnet.10.weight", "head.box_convs.3.norm.weight"),
        ("decoder.object_pred.bias", "head.objectness_predictor.bias"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert yolof_name(theirs) == ours


def test_weights_of_another_model_say_what_they_are(tmp_path: Path) -> None:
    state = {name: torch.zeros(shape) for name, shape in weights.MODELS["R_50_C5_1x"].items()}
    save_checkpoint(tmp_path / "yolof.pth", {"model": state})
    with pytest.raises(WeightsError) as error:
        convert_weights(
            "yolof", tmp_path / "yolof.pth", shapes_of(build("CSP_D_53_DC5_3x", device="meta"))
        )
    assert (
        "The weights look like YOLOF with a ResNet of 3-4-6-3 blocks, 4 dilated blocks, 5 anchors "
        "and 80 classes; the config describes YOLOF with CSPDarknet53 (stem of 32 channels), 8 "
        "dilated blocks, 6 anchors and 80 classes."
    ) in str(error.value)
    assert describe_yolof({"a.weight": (1,)}) == "no YOLOF (it starts with a.weight)"
