"""The files beside an evaluation: what stands in them, and in which order."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from yolov7.evaluation import ConfusionThresholds, EvaluatedDataset, diagnose, match_as_coco

BOXES = [(20 * i, 0, 10, 10) for i in range(4)]


@pytest.fixture
def case(columns):
    """Categories 0, 1 and 2, of which 2 has no objects; the model's classes are 2, 0, 1."""
    found, truth = columns(
        [(0, BOXES[0]), (1, BOXES[1]), (1, BOXES[2])],
        [(0, BOXES[0], 0.9), (2, BOXES[1], 0.8), (1, BOXES[2], 0.3), (1, (0, 50, 9, 9), 0.4)],
        num_classes=3,
    )
    return found, EvaluatedDataset("made", truth, ["none", "cat", "dog"], [2, 0, 1])


def test_numbers_are_in_the_models_order(case, tmp_path):
    diagnosis = diagnose(match_as_coco, *case, ConfusionThresholds(score=0.35))
    diagnosis.write(tmp_path / "new", ap50=[float("nan"), 100, 50])
    files = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert files == ["confusion_matrix.png", "diagnostics.json", "f1_curve.png", "pr_curve.png"]
    for name in files[:1] + files[2:]:
        assert cv2.imread(str(tmp_path / "new" / name)).std() > 10

    def refuse(constant):
        raise AssertionError(f"{constant} is not json")

    text = (tmp_path / "new" / "diagnostics.json").read_text()
    numbers = json.loads(text, parse_constant=refuse)
    none, cat, dog = numbers["classes"]
    assert [c["name"] for c in (none, cat, dog)] == ["none", "cat", "dog"]
    assert [c["category_id"] for c in (none, cat, dog)] == [2, 0, 1]
    assert [c["objects"] for c in (none, cat, dog)] == [0, 1, 2]
    assert [c["AP50"] for c in (none, cat, dog)] == [None, 100, 50]
    assert cat["best_f1"] == {"score": 0.9, "f1": 1, "precision": 1, "recall": 1}
    # Of two dogs one is found at .3, behind a wrong one: F1 = 2·1 / (2 + 2).
    assert dog["best_f1"] == {"score": 0.3, "f1": 0.5, "precision": 0.5, "recall": 0.5}
    assert none["best_f1"]["score"] is None
    # Up to .3 the mean is (1 + 1/2) / 2; above, the dogs' F1 is 0.
    assert numbers["best_mean_f1"] == {"score": 0.3, "f1": 0.75}
    assert len(numbers["scores"]) == len(cat["f1_at_score"]) == 101
    matrix = numbers["confusion_matrix"]
    assert matrix["score_threshold"] == 0.35 and matrix["iou_threshold"] == 0.5
    assert matrix["rows"] == ["none", "cat", "dog", "background"]
    assert matrix["columns"] == ["none", "cat", "dog", "missed"]
    assert matrix["counts"] == [[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]


def test_the_matrix_may_ask_for_another_iou_than_the_curves(columns):
    found, truth = columns([(0, BOXES[0])], [(0, (0, 0, 10, 6), 0.9)], num_classes=1)
    dataset = EvaluatedDataset("made", truth, ["cat"], [0])
    diagnosis = diagnose(match_as_coco, found, dataset, ConfusionThresholds(iou=0.7))
    assert diagnosis.curves.best[0].f1 == 1
    assert diagnosis.confusion.tolist() == [[0, 1], [1, 0]]
    diagnosis = diagnose(match_as_coco, found, dataset, ConfusionThresholds())
    assert diagnosis.confusion.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("objects, detections", [([], []), ([(0, BOXES[0])], [])])
def test_nothing_to_show(columns, objects, detections, tmp_path):
    found, truth = columns(objects, detections, num_classes=1)
    dataset = EvaluatedDataset("made", truth, ["cat"], [0])
    diagnosis = diagnose(match_as_coco, found, dataset, ConfusionThresholds())
    diagnosis.write(tmp_path, ap50=np.array([np.nan]))
    numbers = json.loads((tmp_path / "diagnostics.json").read_text())
    assert numbers["classes"][0]["best_f1"]["score"] is None
    assert numbers["confusion_matrix"]["counts"] == [[0, len(objects)], [0, 0]]
