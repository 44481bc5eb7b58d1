"""Predictors from LazyConfig files."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint import save_checkpoint
from yolov7.command import main
from yolov7.config import load_config
from yolov7.data.mappers import build_test_mapper
from yolov7.engine.lazy_predictor import predictor_from_lazy_config
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

TINY = ["MODEL.DEVICE", "cpu", "MODEL.YOLO.WIDTH_MUL", "0.125", "INPUT.INPUT_SIZE", "[64, 64]"]
TINY += ["MODEL.YOLO.CONF_THRESHOLD", "0.0"]

FROM_YAML = f"""
from yolov7.config import load_config
from yolov7.d2 import LazyCall as L
from yolov7.data.mappers import build_test_mapper
from yolov7.modeling import build_detector

cfg = L(load_config)(path="digits/yolox_nano", overrides={TINY})
model = L(build_detector)(cfg=cfg)
train = dict(init_checkpoint="", device="cpu")
dataloader = dict(test=dict(mapper=L(build_test_mapper)(cfg=cfg)), class_names=[])
"""

FOREIGN = """
import torch
from torch import nn
from yolov7.d2 import Boxes, Instances, LazyCall as L
from yolov7.data.mappers import TestMapper

class Box:
    pass

class Corners(nn.Module):
    \"\"\"Finds the whole picture and its first quarter.\"\"\"

    def __init__(self, score):
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))

    def forward(self, samples):
        assert not self.training
        return [{"instances": self.find(s["height"], s["width"])} for s in samples]

    def find(self, height, width):
        whole = torch.tensor([[0.0, 0.0, width, height]])
        return Instances(
            (height, width),
            pred_boxes=Boxes(torch.cat([whole, whole / 2])),
            scores=torch.stack([self.score, self.score / 2]).detach(),
            pred_classes=torch.tensor([0, 1]),
        )

model = L(Corners)(score=0.1)
train = dict(init_checkpoint="", device="cpu")
dataloader = dict(
    test=dict(
        mapper=L(TestMapper)(input_size=(32, 32), image_format="RGB"), dataset=dict(names=())
    ),
    class_names=["whole", "quarter"],
)
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "lazy.py"
    path.write_text(text)
    return path


def test_one_of_our_models_finds_what_it_finds_by_its_yaml(tmp_path):
    torch.manual_seed(0)
    weights = str(tmp_path / "m.pth")
    cfg = load_config("digits/yolox_nano", [*TINY, "MODEL.WEIGHTS", weights])
    classes = {"names": [f"digit {i}" for i in range(10)], "category_ids": list(range(5, 15))}
    model = build_detector(cfg)
    for module in model.modules():  # so that scores differ, and their order is clear
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.05, 0.5)
    save_checkpoint(weights, {"model": model.state_dict(), "classes": classes})
    lazy = predictor_from_lazy_config(
        write(tmp_path, FROM_YAML), [f"train.init_checkpoint={weights}"]
    )
    image = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    (found,) = lazy([image])
    resized = torch.from_numpy(build_test_mapper(cfg).resize(image).transpose(2, 0, 1).copy())
    with torch.inference_mode():
        (expected,) = model.eval()([{"image": resized, "height": 50, "width": 80}])
    expected = expected["instances"]
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(
        found.pred_boxes.tensor, expected.pred_boxes.tensor, atol=0.01, rtol=1e-3
    )
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-3)
    assert found.pred_classes.tolist() == expected.pred_classes.tolist()
    assert lazy.classes.names[3] == "digit 3" and lazy.classes.category_ids[3] == 8


def test_any_other_model_runs_as_it_is_and_the_threshold_holds(tmp_path):
    save_checkpoint(tmp_path / "m.pth", {"model": {"score": torch.tensor(0.75)}})
    path, opts = write(tmp_path, FOREIGN), [f"train.init_checkpoint={tmp_path / 'm.pth'}"]
    image = np.zeros((40, 60, 3), np.uint8)
    for threshold, boxes in ((0.0, [[0, 0, 60, 40], [0, 0, 30, 20]]), (0.5, [[0, 0, 60, 40]])):
        (found,) = predictor_from_lazy_config(path, opts, confidence_threshold=threshold)([image])
        assert found.pred_boxes.tensor.tolist() == boxes
        assert found.scores.tolist() == [0.75, 0.375][: len(boxes)]


def test_the_command_takes_a_lazy_config(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "m.pth", {"model": {"score": torch.tensor(0.75)}})
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    config, out = write(tmp_path, FOREIGN), tmp_path / "out"
    arguments = ["demo", "--config-file", str(config), "--input", str(tmp_path / "a.png")]
    arguments += ["--output", str(out), "--opts", f"train.init_checkpoint={tmp_path / 'm.pth'}"]
    monkeypatch.setattr(sys, "argv", ["yolov7"])
    try:
        with pytest.raises(SystemExit) as end:
            main(arguments)
    finally:
        logging.getLogger("yolov7").handlers.clear()
    assert not end.value.code
    (image,) = json.loads((out / "detections.json").read_text())["images"]
    assert [found["category_name"] for found in image["detections"]] == ["whole", "quarter"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model = L(Corners)(score=0.1)", "", "lazy.py has no 'model', which should describe a Mo"),
        ("model = L(Corners)(score=0.1)", "model = L(Box)()", "'model' describes a Box; exp"),
        ("L(TestMapper)(input_size=(32, 32), image_format=\"RGB\")", "L(Box)()", "a TestMapper"),
        ('device="cpu"', "x=1", "has no 'train.device'"),
        ('["whole", "quarter"]', "[]", "List them .*dataloader.class_names"),
        ("names=()", "names='no_such'", None),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path, old, new, said):
    save_checkpoint(tmp_path / "m.pth", {"model": {"score": torch.tensor(0.75)}})
    assert old in FOREIGN
    path = write(tmp_path, FOREIGN.replace(old, new))
    opts = [f"train.init_checkpoint={tmp_path / 'm.pth'}"]
    if said is None:
        assert predictor_from_lazy_config(path, opts).classes.names == ("whole", "quarter")
        return
    with pytest.raises(ConfigError, match=said):
        predictor_from_lazy_config(path, opts)


def test_weights_device_threshold_and_number_of_classes_are_checked(tmp_path):
    path = write(tmp_path, FOREIGN)
    with pytest.raises(ConfigError, match=r"train\.init_checkpoint is empty"):
        predictor_from_lazy_config(path)
    with pytest.raises(ConfigError, match=r"\[0, 1\], got 2"):
        predictor_from_lazy_config(path, confidence_threshold=2)
    model = build_detector(load_config("digits/yolox_nano", TINY))
    classes = {"names": ["a"], "category_ids": [1]}
    save_checkpoint(tmp_path / "m.pth", {"model": model.state_dict(), "classes": classes})
    opts = [f"train.init_checkpoint={tmp_path / 'm.pth'}"]
    with pytest.raises(ConfigError, match="num_classes is 10, but the checkpoint has 1 classes"):
        predictor_from_lazy_config(write(tmp_path, FROM_YAML), opts)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"train\.device is 'cuda'.*--opts train\.device=cpu"):
            predictor_from_lazy_config(path, [*opts, "train.device=cuda"])
