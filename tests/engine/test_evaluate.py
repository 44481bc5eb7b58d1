"""Evaluation by config: the data set chooses the evaluator, and files appear beside the results."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import Boxes, Instances
from yolov7.data import register_from_config
from yolov7.engine.evaluate import inference_copy, run_evaluation
from yolov7.layers import PackedConv
from yolov7.modeling import build_detector
from yolov7.modeling.test_time_augmentation import AugmentedDetector, View
from yolov7.utils.errors import ConfigError

XML = """<annotation><filename>{name}.png</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>11</xmin><ymin>11</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object></annotation>
"""


@pytest.fixture
def cfg(tmp_path):
    """A VOC data set of four images with one cat each."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((40, 60, 3), np.uint8))
        (tmp_path / f"{number}.xml").write_text(XML.format(name=number))
    name = f"evaluate_{tmp_path.parent.name}_{tmp_path.name}"
    cfg = get_config()
    cfg.DATASETS.REGISTER = [
        {"NAME": name, "FORMAT": "voc", "ANNOTATIONS": str(tmp_path), "IMAGES": str(tmp_path)}
    ]
    cfg.DATASETS.TEST = (name,)
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.MODEL.YOLO.CLASSES = 1
    cfg.INPUT.INPUT_SIZE = [40, 60]
    register_from_config(cfg)
    return cfg


def finds_the_cat_of_the_first_image(samples):
    results = []
    for sample in samples:
        found = Instances((sample["height"], sample["width"]))
        boxes = [[10.0, 10, 30, 30]] if sample["image_id"] == "0" else []
        found.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
        found.scores = torch.full((len(boxes),), 0.9)
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        results.append({"instances": found})
    return results


@pytest.mark.parametrize("metric, expected", [("auto", 1 / 4), ("11point", 3 / 11)])
def test_a_voc_data_set_is_evaluated_as_such(cfg, metric, expected):
    """One of four is found, and nothing wrong: recall 1/4 with precision 1."""
    cfg.TEST.VOC_METRIC = metric
    numbers = run_evaluation(cfg, finds_the_cat_of_the_first_image)
    assert set(numbers) == {"bbox/AP", "bbox/AP50", "bbox/AP75"}
    assert math.isclose(numbers["bbox/AP50"], 100 * expected)
    files = {path.name for path in (Path(cfg.OUTPUT_DIR) / "inference").iterdir()}
    assert files == {
        "coco_instances_results.json", "confusion_matrix.png", "diagnostics.json",
        "f1_curve.png", "pr_curve.png",
    }  # fmt: skip


def test_evaluation_looks_at_several_views_when_the_config_says_so():
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.BACKBONE.NAME = "YOLOX", "CSPDarknet"
    cfg.MODEL.DEVICE, cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = "cpu", 0.125, 0.33
    model = build_detector(cfg)
    assert type(inference_copy(cfg, model)) is type(model)
    cfg.TEST.AUG.ENABLED, cfg.TEST.AUG.VIEWS = True, [[1.0, "none"], [0.5, "horizontal"]]
    augmented = inference_copy(cfg, model)
    assert isinstance(augmented, AugmentedDetector) and not augmented.training
    assert augmented.views == (View(), View(0.5, "horizontal"))
    assert not [m for m in augmented.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len([m for m in augmented.modules() if isinstance(m, PackedConv)]) > 40
    with pytest.raises(ConfigError, match=r"TEST\.AUG\.ENABLED: a Linear"):
        inference_copy(cfg, nn.Linear(1, 1))
