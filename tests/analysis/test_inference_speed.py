import pytest
import torch
from torch import nn

from yolov7.analysis import (
    INFERENCE_VARIANTS,
    compare_inference,
    inference_function,
    inference_speed,
    synthetic_samples,
)
from yolov7.analysis.inference_speed import inference_model
from yolov7.config import get_config
from yolov7.layers import PackedConv
from yolov7.modeling import build_detector


@pytest.fixture(scope="module")
def model():
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.BACKBONE.NAME = "YOLOX", "CSPDarknet"
    cfg.MODEL.DEVICE, cfg.MODEL.YOLO.CLASSES = "cpu", 3
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.HEAD.PRIOR_PROBABILITY = 0.5
    torch.manual_seed(0)
    return build_detector(cfg).train()


@pytest.fixture(scope="module")
def samples():
    return synthetic_samples(2, (64, 96), num_classes=3)


def test_every_form_finds_the_same(model, samples):
    expected = inference_function(model, INFERENCE_VARIANTS["eager"])(samples)
    assert len(expected[0]["instances"]) > 10
    for name, variant in INFERENCE_VARIANTS.items():
        # Half the digits of bfloat16 reorder what scores nearly the same.
        tolerance = 0.05 if variant.dtype else 1e-4
        for ours, theirs in zip(inference_function(model, variant)(samples), expected, strict=True):
            scores = [output["instances"].scores[:5].float() for output in (ours, theirs)]
            assert torch.allclose(*scores, atol=tolerance), name


@pytest.mark.parametrize(
    ("name", "channels_last", "folded"),
    [
        ("eager", False, False),
        ("channels_last", True, False),
        ("bf16", True, False),
        ("reparameterized", False, True),
        ("reparameterized_channels_last", True, True),
        ("reparameterized_bf16", True, True),
    ],
)
def test_forms_are_what_their_names_say(model, samples, monkeypatch, name, channels_last, folded):
    variant = INFERENCE_VARIANTS[name]
    copied = inference_model(model, variant)
    conv = next(module for module in copied.modules() if isinstance(module, nn.Conv2d))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert folded is not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    seen = []
    conv.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    monkeypatch.setattr(inference_speed, "inference_model", lambda model, variant: copied)
    inference_function(model, variant)(samples)
    assert seen == [torch.bfloat16 if "bf16" in name else torch.float32]


def test_the_packed_form(model):
    copied = inference_model(model, INFERENCE_VARIANTS["packed"])
    packed = sum(isinstance(module, PackedConv) for module in copied.modules())
    assert packed > 40
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.SiLU)
    assert not any(isinstance(module, kinds) for module in copied.modules())


def test_the_given_model_stays_as_it_was(model, samples):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inference_function(model, INFERENCE_VARIANTS["reparameterized_bf16"])(samples)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_comparison(model, samples):
    timing = compare_inference(
        model, samples, variants=["channels_last", "eager"], repeats=2, calls=2
    )
    assert list(timing) == ["channels_last", "eager"]
    assert timing["channels_last"]["ratio"] == 1.0
    assert timing["eager"]["detections"] == timing["channels_last"]["detections"] > 20
    assert 0 < timing["eager"]["fastest_s"] <= timing["eager"]["median_s"]
