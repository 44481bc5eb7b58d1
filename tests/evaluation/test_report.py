"""What is written of results, against pycocotools' own lines and detectron2's form."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from yolov7.evaluation import (
    PrecisionRecall,
    class_table,
    coco_lines,
    copypaste_lines,
    flatten_results,
    named_metrics,
    summarize,
    warn_if_threshold_changes_ap,
)

RESULTS = {
    "bbox": {"AP": 50.123456, "AP50": 75.0, "APs": math.nan, "AR1": 3.0, "AP-cat": 1.0},
    "segm": {"AP": 40.0},
}


@pytest.fixture
def curves_of(synthetic_coco, reference):
    def _curves_of(num_objects: int):
        coco, rows = synthetic_coco(
            num_images=10, num_objects=num_objects, num_detections=300, num_classes=4
        )
        _, evaluation, printed = reference(coco, rows)
        arrays = evaluation.eval["precision"], evaluation.eval["recall"]
        return PrecisionRecall(*arrays, (1, 10, 100)), evaluation.stats, printed

    return _curves_of


@pytest.mark.parametrize("num_objects", [60, 1])
def test_lines_and_numbers_are_those_of_pycocotools(num_objects, curves_of):
    curves, stats, printed = curves_of(num_objects)
    assert summarize(curves).tolist() == stats.tolist()
    lines = [line for line in printed.splitlines() if line.startswith(" Average")]
    assert coco_lines(curves) == lines and len(lines) == 12


def test_absent_areas_are_nan_in_percent_and_minus_one_in_lines(curves_of):
    curves, stats, _ = curves_of(1)
    assert (stats == -1).sum() == 4, "one object has one area"
    values = np.array(list(named_metrics(curves).values()))
    assert (np.isnan(values) == (stats == -1)).all()


def test_other_limits_have_their_own_names(curves_of):
    curves, _, _ = curves_of(60)
    other = PrecisionRecall(curves.precision, curves.recall, (1, 10, 300))
    assert "AR300" in named_metrics(other) and "AR100" not in named_metrics(other)
    assert "maxDets=300" in coco_lines(other)[0]


def test_copypaste_lines():
    assert copypaste_lines(RESULTS) == [
        "copypaste: Task: bbox",
        "copypaste: AP,AP50,APs",
        "copypaste: 50.1235,75.0000,nan",
        "copypaste: Task: segm",
        "copypaste: AP",
        "copypaste: 40.0000",
    ]


def test_class_table_is_aligned_and_marks_absent_classes():
    rows = [{"objects": 12, "AP": 5.5}, {"objects": 0, "AP": math.nan}]
    assert class_table(rows, ["cat", "aeroplane"]) == (
        "class      objects    AP\n"
        "---------  -------  ----\n"
        "cat             12  5.50\n"
        "aeroplane        0     -"
    )
    assert class_table([], []) == "(no classes)"


def test_flatten_results():
    flat = flatten_results(RESULTS)
    assert flat["bbox/AP50"] == 75 and flat["segm/AP"] == 40 and flat["bbox/AP-cat"] == 1
    assert len(flat) == 6


@pytest.mark.parametrize("threshold, warns", [(0.0, False), (0.05, False), (0.051, True)])
def test_thresholds_that_change_ap(threshold, warns, caplog):
    with caplog.at_level(logging.WARNING):
        assert warn_if_threshold_changes_ap(threshold, key="MODEL.YOLO.CONF_THRESHOLD") is warns
    assert ("MODEL.YOLO.CONF_THRESHOLD is 0.051" in caplog.text) is warns
