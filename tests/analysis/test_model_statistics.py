import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from yolov7.analysis import analyze_config, analyze_model, count_flops, count_parameters
from yolov7.config import get_config, load_config
from yolov7.d2 import META_ARCH_REGISTRY
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs" / "coco"

# The authors' models at 80 classes: parameters, the same with batch norm folded, and 1e-9 x
# (2 x multiply-adds of convolutions) at the published size.
PUBLISHED = {
    "nano": (416, 912_159, 904_463, 1.0451),
    "tiny": (416, 5_055_855, 5_047_191, 6.4125),
    "s": (640, 8_968_255, 8_956_703, 26.6855),
    "m": (640, 25_326_495, 25_304_847, 73.5303),
    "l": (640, 54_208_895, 54_174_271, 155.2927),
    "x": (640, 99_071_455, 99_020_975, 281.4098),
    "darknet53": (640, 63_724_767, 63_695_903, 184.6790),
}


# The authors' YOLOv7 at 80 classes and the published size: parameters in training and deployed,
# 2 x multiply-adds of all convolutions in training (auxiliary head and all branches) and deployed.
PUBLISHED_YOLOV7 = {
    "yolov7_tiny": (640, 6_228_762, 6_219_709, 13_700_710_400, 13_700_710_400),
    "yolov7_tiny_silu": (640, 6_228_762, 6_219_709, 13_700_710_400, 13_700_710_400),
    "yolov7": (640, 37_622_682, 36_905_341, 105_769_369_600, 104_511_078_400),
    "yolov7_x": (640, 71_347_394, 71_311_741, 189_673_676_800, 189_673_676_800),
    "yolov7_w6": (1280, 82_312_436, 70_394_300, 420_112_793_600, 359_717_273_600),
    "yolov7_e6": (1280, 111_898_292, 97_202_940, 588_092_211_200, 514_425_651_200),
    "yolov7_d6": (1280, 154_709_364, 133_757_052, 806_063_308_800, 701_738_188_800),
    "yolov7_e6e": (1280, 166_408_884, 151_687_420, 915_850_854_400, 842_184_294_400),
}

# darknet's YOLOv4 at 80 classes and its networks' own sizes: parameters in training and with folded
# norms, 2 x multiply-adds of all convolutions in billions.
PUBLISHED_YOLOV4 = {
    "yolov4": (608, 64_363_101, 64_329_949, 128.3895),
    "yolov4_tiny": (416, 6_056_606, 6_053_502, 6.9079),
}


def config(**keys):
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.BACKBONE.NAME = "YOLOX", "CSPDarknet"
    for key, value in keys.items():
        cfg.MODEL.YOLO[key] = value
    return cfg


# Operations on the meta device cost seconds for each of the others; nano is measured through the
# script as well, in tests/tools/test_analyze_model.py.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "nano" else pytest.mark.slow) for name in PUBLISHED],
)
def test_published_models(name):
    side, parameters, deployed, gflops = PUBLISHED[name]
    found = analyze_config(load_config(CONFIGS / f"yolox_{name}.yaml"))
    assert (found.parameters, found.parameters_deploy) == (parameters, deployed)
    assert found.gflops == pytest.approx(gflops, abs=5e-5)
    assert found.gflops_deploy == found.gflops
    assert found.input_size == (side, side)
    for field in ("parameters", "parameters_deploy", "gflops", "gflops_deploy"):
        total = sum(getattr(part, field) for part in found.parts)
        assert total == pytest.approx(getattr(found, field), rel=1e-12)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if "tiny" in n else pytest.mark.slow) for n in PUBLISHED_YOLOV4],
)
def test_darknets_models(name):
    side, parameters, deployed, gflops = PUBLISHED_YOLOV4[name]
    found = analyze_config(load_config(CONFIGS / f"{name}.yaml"))
    assert (found.parameters, found.parameters_deploy) == (parameters, deployed)
    assert found.gflops == found.gflops_deploy == pytest.approx(gflops, abs=5e-5)
    assert found.input_size == (side, side)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "yolov7_tiny" else pytest.mark.slow)
        for name in PUBLISHED_YOLOV7
    ],
)
def test_published_yolov7_models(name):
    side, parameters, deployed, flops, flops_deploy = PUBLISHED_YOLOV7[name]
    found = analyze_config(load_config(CONFIGS / f"{name}.yaml"))
    assert (found.parameters, found.parameters_deploy) == (parameters, deployed)
    assert found.gflops * 1e9 == pytest.approx(flops, rel=1e-14)
    assert found.gflops_deploy * 1e9 == pytest.approx(flops_deploy, rel=1e-14)
    assert found.input_size == (side, side)
    auxiliary = [part for part in found.parts if part.name == "auxiliary_head"]
    assert len(auxiliary) == (side == 1280)
    assert all(part.parameters_deploy == part.gflops_deploy == 0 for part in auxiliary)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_published_models(name):
    cfg = load_config(CONFIGS / f"yolox_{name}.yaml", ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        model = build_detector(cfg)
    assert count_parameters(model) == PUBLISHED[name][1]


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("detr_r50", 81.25),
        pytest.param("detr_r50_dc5", 173.25, marks=pytest.mark.slow),
        pytest.param("detr_r101", 144.69, marks=pytest.mark.slow),
    ],
)
def test_published_detr_models(name, multiply_adds):
    """1e-9 x the products that PyTorch's counter finds in the authors' models, at 91 classes."""
    options = ["INPUT.INPUT_SIZE", "[800, 1066]", "MODEL.YOLO.CLASSES", "91"]
    found = analyze_config(load_config(CONFIGS / "detr" / f"{name}.yaml", options))
    assert found.gflops / 2 == pytest.approx(multiply_adds, abs=0.006)


# The authors' YOLOF at 80 classes: size, parameters, the same with norms folded, operations.
PUBLISHED_YOLOF = {
    "yolof_r50_dc5": ([800, 1344], 44_504_766, 44_516_990, 436.0237),
    "yolof_cspdarknet53_dc5": ([608, 608], 48_266_078, 48_227_934, 174.1709),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED_YOLOF)
def test_published_yolof_models(name):
    size, parameters, deployed, gflops = PUBLISHED_YOLOF[name]
    cfg = load_config(CONFIGS / f"{name}.yaml", ["INPUT.INPUT_SIZE", str(size)])
    found = analyze_config(cfg)
    assert found.input_size == tuple(size)
    assert (found.parameters, found.parameters_deploy) == (parameters, deployed)
    assert found.gflops == found.gflops_deploy == pytest.approx(gflops, abs=5e-5)


@pytest.mark.parametrize("name", PUBLISHED_YOLOF)
def test_parameters_of_published_yolof_models(name):
    cfg = load_config(CONFIGS / f"{name}.yaml", ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        model = build_detector(cfg)
    assert count_parameters(model) == PUBLISHED_YOLOF[name][1]


def test_operations_of_one_convolution_by_hand():
    cfg = config(WIDTH_MUL=0.125, DEPTH_MUL=0.0)
    cfg.MODEL.DEVICE = "cpu"
    model = build_detector(cfg).train()
    model.backbone = nn.Identity()
    model.neck = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5))
    model.head = Linear()
    # 16 x 32 places, 5 channels out, 3 x 3 x 3 in; then 512 rows of 5 by 5 x 7
    assert count_flops(model, (32, 64)) == {
        "backbone": 0,
        "neck": 2 * 16 * 32 * 5 * 27,
        "head": 2 * 512 * 5 * 7,
    }
    assert model.training
    assert count_parameters(model.neck) == 5 * 27 + 5 + 5 + 5
    assert count_parameters(None) == 0


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 7)

    def forward(self, features, images):
        return self.linear(features.flatten(2).transpose(1, 2))


def test_size_is_rounded_up_and_parts_of_training_are_not_deployed():
    cfg = config(WIDTH_MUL=0.125, DEPTH_MUL=0.0)
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_detector(cfg)
        model.auxiliary_head = Auxiliary()
    found = analyze_model(model, (100, 129))
    assert found.input_size == (128, 160)
    parts = {part.name: part for part in found.parts}
    assert list(parts) == ["backbone", "neck", "head", "auxiliary_head"]
    # On the finest map, of 16 x 20 places and 32 channels, in training only.
    gflops = 2 * 16 * 20 * 32 * 3 / 1e9
    assert dataclasses.astuple(parts["auxiliary_head"]) == ("auxiliary_head", 99, 0, gflops, 0.0)
    assert json.loads(json.dumps(found.to_dict()))["input_size"] == [128, 160]


class Auxiliary(nn.Conv2d):
    def __init__(self):
        super().__init__(32, 3, 1)

    def forward(self, features, images):
        return super().forward(features["p3"])


def test_a_foreign_model_is_a_clear_error():
    cfg = get_config()

    @META_ARCH_REGISTRY.register()
    class ForeignModelOfTheStatisticsTest(nn.Module):
        def __init__(self, cfg):
            super().__init__()

    cfg.MODEL.META_ARCHITECTURE = "ForeignModelOfTheStatisticsTest"
    with pytest.raises(ConfigError, match="is no Detector of this project"):
        analyze_config(cfg)
