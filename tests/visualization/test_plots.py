"""Label statistics and training curves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolov7.d2 import BoxMode
from yolov7.utils.errors import UserError
from yolov7.visualization import plot_label_statistics, plot_training_curves
from yolov7.visualization.plots import _collect, _panels, _read_metrics, _upper_limit


def record(*boxes: tuple[int, ...], crowd: bool = False) -> dict:
    annotations = [
        {"bbox": list(box), "bbox_mode": BoxMode.XYWH_ABS, "category_id": i, "iscrowd": int(crowd)}
        for i, box in enumerate(boxes)
    ]
    return {"height": 50, "width": 100, "annotations": annotations}


RECORDS = [record((10, 20, 30, 10), (0, 0, 5, 5)), record(), record((1, 1, 9, 9), crowd=True)]


def write_metrics(path: Path, *lines: dict | str) -> Path:
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def test_labels_are_gathered_without_crowds():
    classes, boxes, image_sizes, counts = _collect(RECORDS)
    assert classes.tolist() == [0, 1]
    assert boxes.tolist() == [[10, 20, 40, 30], [0, 0, 5, 5]]
    assert image_sizes.tolist() == [[50, 100]] * 2
    assert counts.tolist() == [2, 0, 0]


@pytest.mark.parametrize("records", [RECORDS, []])
def test_label_statistics_are_written(records, tmp_path):
    path = tmp_path / "sub" / "labels.png"
    plot_label_statistics(records, ["cat", "dog"], path)
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 800 and picture.shape[1] > 1000
    assert picture.std() > 10


def test_many_classes_and_objects_are_written(tmp_path):
    crowded = record(*[(i % 90, i % 40, 5, 5) for i in range(100)])
    plot_label_statistics([crowded], ["a name"] * 90, tmp_path / "labels.png")
    assert (tmp_path / "labels.png").stat().st_size > 10000


def test_metrics_are_read_by_name(tmp_path):
    path = write_metrics(
        tmp_path / "metrics.json",
        {"iteration": 19, "total_loss": 2.5, "lr": 0.1},
        {"iteration": 9, "total_loss": 3.5},
        {"iteration": 19, "bbox/AP": 40.0, "bbox/AP-cat": float("nan"), "note": "text"},
        '{"iteration": 29, "total',
    )
    curves = _read_metrics(path)
    assert {name: (x.tolist(), y.tolist()) for name, (x, y) in curves.items()} == {
        "iteration": ([9, 19, 19], [9, 19, 19]),
        "total_loss": ([9, 19], [3.5, 2.5]),
        "lr": ([19], [0.1]),
        "bbox/AP": ([19], [40.0]),
    }
    assert plot_training_curves(path, tmp_path / "curves.png") is True
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 10


def test_long_runs_are_written(tmp_path):
    lines = [{"iteration": i, "total_loss": 1 / (i + 1), "time": 0.1} for i in range(200)]
    path = write_metrics(tmp_path / "metrics.json", *lines)
    plot_training_curves(path, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 10


def test_validation_losses_have_a_panel_of_their_own():
    training = ["lr", "total_loss", "loss_box"]
    validation = ["validation/loss_box", "validation/total_loss"]
    assert _panels(training) == {
        "loss": ["loss_box", "total_loss"],
        "learning rate": ["lr"],
    }
    panels = _panels([*training, *validation, "bbox/AP", "bbox/AP-disc"])
    assert panels["loss"] == ["loss_box", "total_loss"]
    assert panels["validation loss"] == [*validation, "total_loss"]
    assert panels["average precision"] == ["bbox/AP"]


def test_first_enormous_losses_do_not_flatten_the_rest():
    usual = np.full(99, 2.0)
    assert _upper_limit([np.append(usual, 300.0), usual / 2]) == pytest.approx(2.6)
    assert _upper_limit([np.append(usual, 5.0)]) is None
    assert _upper_limit([np.zeros(3)]) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"iteration": 1, "lr', {"iteration": 2}], "line 1"),
        ([{"loss": 1.0}, {"iteration": 2}], "line 1.*'iteration'"),
    ],
)
def test_wrong_metrics_name_file_and_line(lines, message, tmp_path):
    path = write_metrics(tmp_path / "metrics.json", *lines)
    with pytest.raises(UserError, match=rf"metrics\.json.*{message}"):
        plot_training_curves(path, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("lines", [[""], [{"iteration": 1, "other": 2}]])
def test_a_run_without_curves_draws_nothing(lines, tmp_path):
    path = write_metrics(tmp_path / "metrics.json", *lines)
    assert plot_training_curves(path, tmp_path / "curves.png") is False
    assert not (tmp_path / "curves.png").exists()


def test_missing_metrics_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json"):
        plot_training_curves(tmp_path / "absent.json", tmp_path / "curves.png")


@pytest.mark.slow
def test_the_users_backend_is_left_alone(tmp_path):
    program = f"""
import sys
from yolov7.visualization import plot_label_statistics
assert "matplotlib" not in sys.modules
plot_label_statistics([], ["cat"], {str(tmp_path / "labels.png")!r})
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
