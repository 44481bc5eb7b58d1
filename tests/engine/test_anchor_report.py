import logging

import torch

from yolov7.d2 import BoxMode
from yolov7.engine.anchor_report import report_anchor_fit


def records(*sizes):
    box = [{"bbox": [0, 0, *size], "bbox_mode": BoxMode.XYWH_ABS} for size in sizes]
    return [{"height": 200, "width": 200, "annotations": box}]


def test_a_fit_is_told_and_a_misfit_is_a_warning_with_its_remedy(caplog):
    anchors = torch.tensor([[[10.0, 10.0]], [[40.0, 40.0]]])
    with caplog.at_level(logging.INFO):
        # Pictures are halved: 10x10, and 50x12, whose sides are within 4 times 40x40.
        report_anchor_fit(records((20, 20), (100, 24)), anchors, input_size=(100, 100), ratio=4.0)
    assert "best possible recall 1.0000" in caplog.text
    assert caplog.records[-1].levelno == logging.INFO
    report_anchor_fit(records((20, 20), (199, 2)), anchors, input_size=(100, 100), ratio=4.0)
    assert caplog.records[-1].levelno == logging.WARNING
    assert "50.0 % of 2 boxes" in caplog.text
    assert "tools/compute_anchors.py" in caplog.text


def test_no_boxes_no_words(caplog):
    with caplog.at_level(logging.INFO):
        report_anchor_fit(records(), torch.ones(3, 3, 2), input_size=(100, 100), ratio=4.0)
    assert not caplog.records
