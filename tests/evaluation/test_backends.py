"""The two matching engines: one answer, element by element."""

from __future__ import annotations

import importlib.util
import logging

import numpy as np
import pytest

from yolov7.evaluation import HotcocoBackend, PycocotoolsBackend, choose_backend
from yolov7.evaluation.detections import Detections, encode_masks
from yolov7.evaluation.ground_truth import GroundTruth


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("limits", [(1, 10, 100), (1, 2, 2), (1, 10, 400)])
def test_all_curves_are_equal(iou_type, limits, synthetic_coco):
    coco, rows = synthetic_coco(
        num_images=6, num_objects=40, num_detections=120, num_classes=3, with_masks=True
    )
    ids = [category["id"] for category in coco["categories"]]
    truth = GroundTruth.from_coco(coco, category_ids=ids, with_masks=True, source="made")
    masks = np.zeros((len(rows), 480, 640), dtype=bool)
    for mask, row in zip(masks, rows, strict=True):
        x, y, w, h = (int(v) for v in row["bbox"])
        mask[y : y + h, x : x + w] = True
    found = Detections(
        image_index=np.array([truth.image_ids.index(row["image_id"]) for row in rows]),
        category_index=np.array([ids.index(row["category_id"]) for row in rows]),
        boxes_xywh=np.array([row["bbox"] for row in rows]),
        scores=np.array([row["score"] for row in rows]),
        masks=encode_masks(masks),
    )
    fast, slow = (
        backend.accumulate(truth, found, iou_type=iou_type, max_detections=limits)
        for backend in (HotcocoBackend(), PycocotoolsBackend())
    )
    np.testing.assert_array_equal(fast.precision, slow.precision)
    np.testing.assert_array_equal(fast.recall, slow.recall)
    assert fast.precision.shape == (10, 101, 3, 4, 3) and fast.precision.max() > 0.5
    assert fast.max_detections == slow.max_detections == limits


def test_hotcoco_is_chosen_where_it_is_installed():
    assert choose_backend().name == "hotcoco"


def test_the_fallback_is_said_aloud(monkeypatch, caplog):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "hotcoco" else find_spec(name, *rest),
    )
    with caplog.at_level(logging.WARNING):
        assert choose_backend().name == "pycocotools"
    assert "hotcoco is not installed" in caplog.text
