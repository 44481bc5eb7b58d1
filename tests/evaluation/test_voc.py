"""VOC's average precision: by hand, and against numbers that detectron2's evaluator gave."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.d2 import Boxes, BoxMode, DatasetCatalog, Instances, MetadataCatalog
from yolov7.evaluation import VOCEvaluator, flatten_results, match_as_voc
from yolov7.evaluation.voc import (
    VOC_METRICS,
    area_precision,
    average_precisions,
    eleven_point_precision,
)
from yolov7.utils.errors import ConfigError, DatasetError

REFERENCE = Path(__file__).parents[1] / "reference" / "voc.json"
# xywh; in VOC's pixels O1 is (11, 11, 30, 30), both ends included.
O1, O2, HARD = (10, 10, 20, 20), (50, 10, 20, 20), (10, 50, 20, 20)
UNFOUND = [(50, 50, 20, 20), (80, 50, 20, 20)]


@pytest.fixture
def register_records():
    """Register records of images {image_id: [(class, xyxy box, difficult), …]}."""
    names = []

    def _register(images, class_names, **metadata) -> str:
        records = [
            {
                "file_name": f"{image_id}.jpg", "height": 150, "width": 200, "image_id": image_id,
                "annotations": [
                    {
                        "bbox": list(box), "bbox_mode": BoxMode.XYXY_ABS, "category_id": k,
                        "iscrowd": 0, **({} if difficult is None else {"difficult": difficult}),
                    }
                    for k, box, difficult in objects
                ],
            }
            for image_id, objects in images.items()
        ]  # fmt: skip
        name = f"voc_test_{len(names)}"
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(thing_classes=class_names, evaluator_type="voc", **metadata)
        names.append(name)
        return name

    yield _register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def instances(detections) -> Instances:
    """Make a model's result of (class, xyxy box, score)."""
    result = Instances((150, 200))
    boxes = [box for _, box, _ in detections]
    result.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    result.scores = torch.tensor([score for _, _, score in detections])
    result.pred_classes = torch.tensor([k for k, _, _ in detections], dtype=torch.int64)
    return result


def evaluate(name, outputs, **settings):
    evaluator = VOCEvaluator(name, **settings)
    evaluator.reset()
    for image_id, detections in outputs.items():
        evaluator.process([{"image_id": image_id}], [{"instances": instances(detections)}])
    return evaluator.evaluate()


@pytest.mark.parametrize("metric, expected", [("11point", 4.5 / 11), ("area", 0.375)])
def test_average_precision_by_hand(columns, metric, expected):
    """Four objects that count and a difficult one.

    By score: right, (difficult), wrong (again), (difficult), wrong (IoU just 1/2), right, wrong.
    Recall 1/4, 1/4, 1/4, 2/4, 2/4; precision 1, 1/2, 1/3, 1/2, 2/5; made falling: 1 up to the
    recall 1/4, 1/2 up to 2/4, then 0. 11 points: 1 at 0, .1, .2; 1/2 at .3, .4, .5; 0 at the five
    others. Area: 1/4 · 1 + 1/4 · 1/2.
    """
    found, truth = columns(
        [(0, box) for box in (O1, O2, HARD, *UNFOUND)],
        [
            (0, O1, 0.9),
            (0, HARD, 0.8),
            (0, O1, 0.7),
            (0, HARD, 0.65),
            (0, (50, 10, 20, 10), 0.6),
            (0, O2, 0.5),
            (0, (0, 0, 9, 9), 0.4),
        ],
        num_classes=2,
        difficult=[2],
    )
    matches = match_as_voc(found, truth, iou_threshold=0.5)
    result = average_precisions(matches, found, truth, metric=VOC_METRICS[metric])
    assert result[0] == pytest.approx(expected, abs=1e-12)
    assert math.isnan(result[1]), "a class without objects"


@pytest.mark.parametrize("metric", VOC_METRICS.values())
def test_average_precision_at_the_ends(metric):
    nothing = np.zeros(0)
    assert metric(nothing, nothing) == 0
    assert metric(np.ones(3), np.array([1, 2, 3]) / 3) == pytest.approx(1)
    assert metric(np.zeros(2), np.zeros(2)) == 0


def test_a_level_of_recall_that_is_just_reached():
    """0.5 is one of the floats; the area counts every bit of recall."""
    assert eleven_point_precision(np.ones(1), np.array([0.5])) == pytest.approx(6 / 11)
    assert eleven_point_precision(np.ones(1), np.array([0.49])) == pytest.approx(5 / 11)
    assert area_precision(np.ones(1), np.array([0.49])) == pytest.approx(0.49)


@pytest.mark.parametrize("year", [2007, 2012])
def test_numbers_are_those_of_detectron2(register_records, year, tmp_path):
    content = json.loads(REFERENCE.read_text())
    images = {
        image["image_id"]: [
            (o["class"], (o["xmin"] - 1, o["ymin"] - 1, o["xmax"], o["ymax"]), o["difficult"])
            for o in image["objects"]
        ]
        for image in content["images"]
    }
    outputs = {
        image["image_id"]: [(d["class"], d["box"], d["score"]) for d in image["detections"]]
        for image in content["images"]
    }
    expected = content["numbers"][str(year)]
    name = register_records(images, content["class_names"], year=year)
    results = evaluate(name, outputs, output_dir=tmp_path)["bbox"]
    for key in ("AP", "AP50", "AP75"):
        assert results[key] == pytest.approx(expected[key], abs=1e-9)
    for label, by_threshold in expected["classes"].items():
        assert results[f"AP50-{label}"] == pytest.approx(by_threshold[0], abs=1e-9)
    assert list(results)[:3] == ["AP", "AP50", "AP75"] and len(results) == 6
    # Another metric than the year's is another number.
    other = {2007: "area", 2012: "11point"}[year]
    assert evaluate(name, outputs, metric=other)["bbox"]["AP50"] != results["AP50"]


SIMPLE = {"000005": [(0, (10, 10, 30, 30), 0), (1, (0, 0, 9, 9), 1)], "000007": []}
FOUND = {"000005": [(0, (10, 10, 30, 30), 0.5), (1, (0, 0, 9, 9), 0.5)], "000007": []}


def test_classes_without_objects_that_count_are_left_out_of_means(register_records, caplog):
    name = register_records(SIMPLE, ["cat", "dog"], year=2007)
    with caplog.at_level(logging.INFO):
        results = flatten_results(evaluate(name, FOUND))
    assert results["bbox/AP"] == results["bbox/AP50"] == pytest.approx(100)
    assert math.isnan(results["bbox/AP50-dog"])
    assert "11point metric" in caplog.text and "difficult" in caplog.text


def test_files_have_the_data_sets_ids(register_records, tmp_path):
    name = register_records(SIMPLE, ["cat", "dog"], thing_dataset_id_to_contiguous_id={7: 0, 3: 1})
    assert evaluate(name, FOUND, output_dir=tmp_path)["bbox"]["AP50"] == pytest.approx(100)
    rows = json.loads((tmp_path / "coco_instances_results.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [("000005", 7), ("000005", 3)]
    assert rows[0]["bbox"] == [10, 10, 20, 20]
    numbers = json.loads((tmp_path / "diagnostics.json").read_text())
    # The detection of the difficult dog is neither right nor wrong.
    assert numbers["confusion_matrix"]["counts"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert [c["AP50"] for c in numbers["classes"]] == [100, None]


def test_ranks_are_gathered_and_no_image_comes_twice(register_records, monkeypatch):
    name = register_records(SIMPLE, ["cat", "dog"])
    alone = evaluate(name, FOUND)
    ranks = [VOCEvaluator(name), VOCEvaluator(name)]
    for rank, (image_id, detections) in zip(ranks, FOUND.items(), strict=True):
        rank.process([{"image_id": image_id}], [{"instances": instances(detections)}])
    shares = [rank._collector._images for rank in ranks]
    monkeypatch.setattr("yolov7.evaluation.collector.gather", lambda mine, dst: shares)
    assert str(ranks[0].evaluate()) == str(alone)
    shares.append(shares[0])
    with pytest.raises(DatasetError, match="'000005' was evaluated more than once"):
        ranks[0].evaluate()
    monkeypatch.setattr("yolov7.evaluation.collector.is_main_process", lambda: False)
    assert ranks[1].evaluate() == {}


def test_nothing_processed_and_nothing_found(register_records, caplog):
    name = register_records(SIMPLE, ["cat", "dog"])
    assert evaluate(name, {}) == {}
    assert "no image was processed" in caplog.text
    assert evaluate(name, {"000005": [], "000007": []})["bbox"]["AP50"] == 0
    assert "found nothing" in caplog.text


def test_data_sets_without_difficult_objects_are_told(register_records, caplog):
    with caplog.at_level(logging.INFO):
        evaluate(register_records(SIMPLE, ["cat", "dog"]), FOUND)
        assert "marked as difficult" not in caplog.text
        unmarked = {
            image_id: [(k, box, None) for k, box, _ in objects]
            for image_id, objects in SIMPLE.items()
        }
        results = evaluate(register_records(unmarked, ["cat", "dog"]), FOUND)
    assert results["bbox"]["AP50-dog"] == pytest.approx(100)
    assert "No object of voc_test_1 is marked as difficult" in caplog.text


def test_unknown_metric():
    with pytest.raises(ConfigError, match=r"TEST\.VOC_METRIC: there is no '11-point'.*11point"):
        VOCEvaluator("any", metric="11-point")
