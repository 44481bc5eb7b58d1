import logging
from types import SimpleNamespace

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import BoxMode
from yolov7.engine.anchor_report import report_anchor_fit
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.build import build_criterion


def records(*sizes):
    box = [{"bbox": [0, 0, *size], "bbox_mode": BoxMode.XYWH_ABS} for size in sizes]
    return [{"height": 200, "width": 200, "annotations": box}]


def model(anchors, assigner):
    criterion = SimpleNamespace(assigner=assigner)
    return SimpleNamespace(head=SimpleNamespace(anchors=anchors), criterion=criterion)


LIMITED = SimpleNamespace(max_anchor_ratio=4.0)


def test_a_fit_is_told_and_a_misfit_is_a_warning_with_its_remedy(caplog):
    two = model(torch.tensor([[[10.0, 10.0]], [[40.0, 40.0]]]), LIMITED)
    with caplog.at_level(logging.INFO):
        # Pictures are halved: 10x10, and 50x12, whose sides are within 4 times 40x40.
        report_anchor_fit(two, records((20, 20), (100, 24)), input_size=(100, 100))
    assert "best possible recall 1.0000" in caplog.text
    assert caplog.records[-1].levelno == logging.INFO
    report_anchor_fit(two, records((20, 20), (199, 2)), input_size=(100, 100))
    assert caplog.records[-1].levelno == logging.WARNING
    assert "50.0 % of 2 boxes" in caplog.text
    assert "python tools/compute_anchors.py --config-file" in caplog.text


def test_whoever_has_the_console_command_is_told_its_verb(caplog, monkeypatch):
    monkeypatch.setattr("sys.argv", ["yolov7 train"])
    far = model(torch.ones(1, 1, 2), LIMITED)
    report_anchor_fit(far, records((50, 50)), input_size=(100, 100))
    assert "Better ones: yolov7 compute-anchors --config-file" in caplog.text


def test_no_boxes_or_no_limit_no_words(caplog):
    ones = torch.ones(3, 3, 2)
    with caplog.at_level(logging.INFO):
        report_anchor_fit(model(ones, LIMITED), records(), input_size=(100, 100))
        # SimOTA, for one, gives anchors objects of any shape.
        report_anchor_fit(model(ones, object()), records((50, 50)), input_size=(100, 100))
        report_anchor_fit(torch.nn.Identity(), records((50, 50)), input_size=(100, 100))
    assert not caplog.records


@pytest.mark.parametrize("name", ["coco/yolov7_tiny", "coco/yolov7_w6"])
def test_criteria_with_and_without_an_auxiliary_head_are_looked_at(name, caplog):
    criterion = build_criterion(load_config(name), box_coder=YOLOv7BoxCoder())
    detector = SimpleNamespace(
        head=SimpleNamespace(anchors=torch.ones(3, 3, 2)), criterion=criterion
    )
    report_anchor_fit(detector, records((50, 50)), input_size=(100, 100))
    assert "The anchors do not fit: 100.0 %" in caplog.text
