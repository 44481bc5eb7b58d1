"""ResNets of detectron2's model zoo give the maps that they give in detectron2."""

from __future__ import annotations

import logging
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint import load_checkpoint, load_weights
from yolov7.checkpoint.conversion import convert_detectron2_resnet, convert_weights
from yolov7.checkpoint.conversion.detectron2 import zoo_name
from yolov7.config import load_config
from yolov7.engine.initial_weights import load_initial_weights
from yolov7.layers import FrozenBatchNorm2d
from yolov7.modeling import build_detector
from yolov7.modeling.backbones import ResNet
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"
CONFIG = ROOT / "configs" / "coco" / "yolof_r50_dc5.yaml"
R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
QUARTER = {"stem_channels": 16, "res2_channels": 64}
RESNETS = {
    "R-50": {},
    "R-101": {"stage_blocks": R101},
    "X-101-32x8d": {"stage_blocks": R101, "groups": 32, "width_per_group": 8},
    "R-50-quarter": QUARTER | {"width_per_group": 16},
    "X-50-quarter": QUARTER | {"groups": 8, "width_per_group": 4, "stride_in_1x1": False},
}


@pytest.fixture(scope="module")
def rule(reference_module):
    """The files' layouts and the rule that fills them."""
    return reference_module("zoo_weights")


@pytest.fixture(scope="module")
def small_content(rule):
    return rule.zoo_content("caffe2", rule.MODELS["R-50-quarter"])


def build(name="R-50-quarter", *, device="cpu", **options):
    """A model of a backbone alone."""
    stages = ["res2", "res3", "res4", "res5"]
    with torch.device(device):
        backbone = ResNet(**{"out_features": stages} | RESNETS[name] | options)
        return nn.ModuleDict({"backbone": backbone}).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


@pytest.mark.parametrize(
    ("name", "layout", "dilation"),
    [
        *(
            ("R-50-quarter", layout, dilation)
            for layout in ("fused", "blobs", "caffe2", "detectron2")
            for dilation in (1, 2)
        ),
        ("X-50-quarter", "fused", 1),
        pytest.param("R-50", "fused", 2, marks=pytest.mark.slow),
        pytest.param("R-50", "detectron2", 1, marks=pytest.mark.slow),
    ],
)
@torch.inference_mode()
def test_maps_are_detectron2s(rule, tmp_path, name: str, layout: str, dilation: int) -> None:
    path = write(tmp_path / "x.pkl", rule.zoo_content(layout, rule.MODELS[name]))
    model = build(name, res5_dilation=dilation)
    model.load_state_dict(convert_weights("detectron2", path, shapes_of(model)))
    image = runpy.run_path(str(REFERENCE / "deterministic.py"))["image_batch"](1, 64, 96)
    recorded = np.load(REFERENCE / "zoo.npz")
    norms = "fused" if layout in ("fused", "blobs") else "whole"
    maps = model.double().backbone(image)
    assert list(maps) == ["res2", "res3", "res4", "res5"]
    for stage, found in maps.items():
        for what, numbers in {
            "values": found.flatten()[::197],
            "channel_sums": found.sum(dim=(0, 2, 3)),
        }.items():
            expected = recorded[f"{name}_{norms}_{dilation}_{stage}_{what}"]
            difference = np.abs(numbers.numpy() - expected).max()
            assert difference <= 1e-8 * np.abs(expected).max(), (stage, what)


@pytest.mark.parametrize("name", ["R-50", "R-101", "X-101-32x8d"])
def test_every_entry_is_used_once_and_in_our_order(rule, name: str) -> None:
    model = build(name, device="meta")
    state = {
        key: torch.full((), float(number)).expand(shape)
        for number, (key, shape) in enumerate(rule.MODELS[name].items())
    }
    converted = convert_detectron2_resnet({"model": state}, shapes_of(model))
    assert list(converted) == list(model.state_dict())
    used = sorted(int(value.flatten()[0]) for value in converted.values())
    assert used == list(range(len(state)))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1_w", "backbone.stem.0.conv.weight"),
        ("res_conv1_bn_s", "backbone.stem.0.norm.weight"),
        ("res_conv1_bn_running_var", "backbone.stem.0.norm.running_var"),
        ("res2_0_branch1_w", "backbone.res2.0.shortcut.conv.weight"),
        ("res2_0_branch1_bn_b", "backbone.res2.0.shortcut.norm.bias"),
        ("res4_22_branch2a_bn_beta", "backbone.res4.22.conv1.norm.bias"),
        ("res5_2_branch2b_bn_rm", "backbone.res5.2.conv2.norm.running_mean"),
        ("res5_2_branch2c_bn_riv", "backbone.res5.2.conv3.norm.running_var"),
        ("res5_2_branch2c_bn_gamma", "backbone.res5.2.conv3.norm.weight"),
        ("res3_1_branch2c_b", "backbone.res3.1.conv3.conv.bias"),
        ("stem.conv1.norm.running_mean", "backbone.stem.0.norm.running_mean"),
        ("res2.0.shortcut.weight", "backbone.res2.0.shortcut.conv.weight"),
        ("res4.22.conv2.norm.bias", "backbone.res4.22.conv2.norm.bias"),
        ("fc1000_w", "fc1000_w"),
        ("stem.fc.weight", "stem.fc.weight"),
        ("fpn_res2_2_sum_w", "fpn_res2_2_sum_w"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert zoo_name(theirs) == ours
    assert zoo_name(ours) == ours


def test_norms_without_statistics_are_a_factor_and_a_shift(rule, tmp_path) -> None:
    """Mean 0 and variance 1: what is left of the norm is the square root of 1 + eps."""
    content = rule.zoo_content("fused", rule.MODELS["R-50-quarter"])
    model = build()
    model.load_state_dict(convert_detectron2_resnet(content, shapes_of(model)))
    norm = model.backbone.res3[0].conv2.norm
    x = torch.tensor([2.0]).expand(1, norm.num_features, 1, 1)
    factor, shift = (content[f"res3_0_branch2b_bn_{which}"] for which in "sb")
    expected = 2.0 * factor / np.sqrt(1 + 1e-5) + shift
    np.testing.assert_allclose(norm(x).flatten().numpy(), expected, rtol=1e-6)


def test_what_is_left_out_is_said(rule, caplog) -> None:
    content = rule.zoo_content("fused", rule.MODELS["R-50-quarter"])
    with caplog.at_level(logging.WARNING):
        convert_detectron2_resnet(content, shapes_of(build(device="meta")))
    (message,) = (record.getMessage() for record in caplog.records)
    assert message == (
        "Left out, the backbone has no such entries: "
        "fc1000_w, fc1000_b, conv1_b, res2_0_branch2a_w_momentum"
    )


def test_torchvisions_need_another_config(rule, caplog) -> None:
    content = rule.zoo_content("detectron2", rule.MODELS["R-50-quarter"])
    with caplog.at_level(logging.WARNING):
        convert_detectron2_resnet(content, shapes_of(build(device="meta")))
    left_out, colours = (record.getMessage() for record in caplog.records)
    assert left_out.endswith("stem.fc.weight, stem.fc.bias")
    assert "set MODEL.RESNETS.STRIDE_IN_1X1 False, INPUT.FORMAT RGB" in colours


def test_stages_that_are_not_built_are_left_out(small_content, caplog) -> None:
    model = build(device="meta", out_features=["res3"])
    with caplog.at_level(logging.WARNING):
        state = convert_detectron2_resnet(small_content, shapes_of(model))
    assert list(state) == list(model.state_dict())
    assert "res4_0_branch" in caplog.text


def test_trained_norms_take_statistics_and_need_them(rule, small_content) -> None:
    shapes = shapes_of(build(device="meta", norm=nn.BatchNorm2d))
    state = convert_detectron2_resnet(small_content, shapes)
    assert list(state) == list(shapes)
    counter = state["backbone.res2.0.conv1.norm.num_batches_tracked"]
    assert (counter.dtype, counter.item()) == (torch.int64, 0)
    fused = rule.zoo_content("fused", rule.MODELS["R-50-quarter"])
    with pytest.raises(
        WeightsError, match=r"no entry for backbone\.stem\.0\.norm\.running_mean.*Set .*FrozenBN"
    ):
        convert_detectron2_resnet(fused, shapes)


@pytest.mark.parametrize(
    ("file", "model", "problem", "found"),
    [
        ("R-101", "R-50", r"has no entry for res4\.6\.conv1\.weight", "3-4-23-3 blocks"),
        ("R-50", "R-101", r"have no entry for backbone\.res4\.6\.conv1\.", "3-4-6-3 blocks"),
        ("X-101-32x8d", "R-101", r"conv1\.weight has the shape", "in 32 groups of 8 channels"),
    ],
)
def test_another_size_says_what_the_file_looks_like(rule, file, model, problem, found) -> None:
    state = {name: torch.zeros(()).expand(shape) for name, shape in rule.MODELS[file].items()}
    with pytest.raises(
        WeightsError, match=rf"{problem}.*look like a ResNet of .*{found}.*describes a"
    ):
        convert_detectron2_resnet(state, shapes_of(build(model, device="meta")))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("res3_2_branch2b_w", "res3.2.conv2.conv.weight"),
        ("res3_2_branch2b_bn_beta", "res3.2.conv2.norm.bias"),
        ("res3_2_branch2b_bn_running_var", "res3.2.conv2.norm.running_var"),
        ("res_conv1_bn_gamma", "stem.0.norm.weight"),
    ],
)
def test_a_missing_entry_is_named(small_content, theirs: str, ours: str) -> None:
    model = {name: value for name, value in small_content["model"].items() if name != theirs}
    with pytest.raises(WeightsError, match=rf"have no entry for backbone\.{ours} "):
        convert_detectron2_resnet({"model": model}, shapes_of(build(device="meta")))


def test_what_is_no_resnet_of_the_zoo(small_content, tmp_path) -> None:
    shapes = shapes_of(build(device="meta"))
    renamed = {name.replace("_bn_", "_gn_"): x for name, x in small_content["model"].items()}
    with pytest.raises(WeightsError, match=r"look like .* blocks, with group norms"):
        convert_detectron2_resnet(renamed, shapes)
    for content in ({"a": "text"}, {}, {"model": {3: np.zeros(1)}}):
        with pytest.raises(WeightsError, match="expected detectron2's model zoo's checkpoint"):
            convert_detectron2_resnet(write(tmp_path / "x.pkl", content), shapes)
    doubled = small_content["model"] | {"conv1_w": np.zeros(1), "stem.conv1.weight": np.zeros(1)}
    with pytest.raises(WeightsError, match=r"conv1_w and stem\.conv1\.weight are the same"):
        convert_detectron2_resnet(doubled, shapes)
    with torch.device("meta"):
        yolox = build_detector(
            load_config(ROOT / "configs/coco/yolox_nano.yaml", ["MODEL.DEVICE", "meta"])
        )
    with pytest.raises(
        WeightsError, match=r"no ResNet of .* kind .*Set MODEL\.BACKBONE\.NAME ResNet"
    ):
        convert_detectron2_resnet(small_content, shapes_of(yolox))


def test_a_training_starts_from_the_converted_file(rule, monkeypatch, capsys, caplog, tmp_path):
    """The tool, MODEL.WEIGHTS, and what is said of the rest of the model."""
    content = rule.zoo_content("fused", rule.MODELS["R-50-quarter"])
    options = [
        *("MODEL.RESNETS.STEM_OUT_CHANNELS", "16", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"),
        *("MODEL.RESNETS.WIDTH_PER_GROUP", "16", "MODEL.NECK.CHANNELS", "32"),
    ]
    source, output = write(tmp_path / "R-50.pkl", content), tmp_path / "ours.pth"
    monkeypatch.setattr(
        sys,
        "argv",
        ["convert_weights.py", "--source", "detectron2", "--config-file", str(CONFIG),
         "--input", str(source), "--output", str(output), *options],
    )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / "convert_weights.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "265 entries of" in printed
    assert "entries of the model are not in it (neck, head): for a training" in printed
    assert all(name.startswith("backbone.") for name in load_checkpoint(output)["model"])

    cfg = load_config(CONFIG, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(output), *options])
    model = build_detector(cfg)
    before = model.head.class_predictor.weight.clone()
    with caplog.at_level(logging.INFO):
        load_initial_weights(cfg, model)
    assert (
        "Missing in the file, left as they were: everything in neck, everything in head"
        in caplog.text
    )
    expected = torch.from_numpy(content["res5_2_branch2c_bn_s"])
    norm = model.backbone.res5[2].conv3.norm
    assert isinstance(norm, FrozenBatchNorm2d)
    assert torch.equal(norm.weight, expected)
    assert torch.equal(model.head.class_predictor.weight, before)
    with pytest.raises(WeightsError, match=r"does not fit the model .*missing: neck\."):
        load_weights(model, output).require_complete(output)
    with pytest.raises(WeightsError, match=r"R-50\.pkl is damaged .*--source detectron2"):
        load_weights(model, source)
