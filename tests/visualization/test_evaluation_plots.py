"""Curves and confusion matrices are drawn for any number of classes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolov7.utils.errors import UserError
from yolov7.visualization import (
    evaluation_plots,
    plot_confusion_matrix,
    plot_f1,
    plot_precision_recall,
)

X = np.linspace(0, 1, 11)


def curves(num_classes: int, *, unknown: int = 0) -> np.ndarray:
    values = np.random.default_rng(0).random((num_classes, len(X)))
    values[:unknown] = np.nan
    return values


def names(count: int) -> list[str]:
    return [f"a rather long name of class {k}" for k in range(count)]


@pytest.fixture
def legends(monkeypatch):
    """What stands in the legend of each plot that is saved."""
    texts = []
    save = evaluation_plots.save_figure

    def spy(figure, path):
        legend = figure.axes[0].get_legend()
        texts.append([text.get_text() for text in legend.get_texts()] if legend else None)
        save(figure, path)

    monkeypatch.setattr(evaluation_plots, "save_figure", spy)
    return texts


def draw_curves(folder, values, rating):
    count = len(values)
    plot_precision_recall(
        folder / "pr.png", recall=X, precision=values, ap50=rating, names=names(count)
    )
    plot_f1(
        folder / "f1.png", scores=X, f1=values, best=[(0.5, value) for value in rating],
        mean=np.nanmean(values, axis=0) if not np.isnan(values).all() else np.full(len(X), np.nan),
        names=names(count),
    )  # fmt: skip
    for name in ("pr", "f1"):
        assert cv2.imread(str(folder / f"{name}.png")).std() > 5


def test_few_classes_are_all_named(tmp_path, legends):
    values = curves(3, unknown=1)
    draw_curves(tmp_path, values, np.array([np.nan, 20, 40]))
    first, second, mean = legends[0]
    assert first == "a rather long name of c…  AP50 20.0"
    assert second.endswith("AP50 40.0") and mean == "mean of 2 classes  AP50 30.0"
    assert legends[1][0] == "a rather long name of c…  20.00 at 0.50"


def test_of_many_classes_the_best_and_the_worst_are_named(tmp_path, legends):
    rating = np.arange(80.0)
    draw_curves(tmp_path, curves(80), rating)
    shown = [float(text.split("AP50 ")[1]) for text in legends[0]]
    assert shown == [79, 78, 77, 76, 75, 4, 3, 2, 1, 0, 39.5]


def test_a_class_of_which_nothing_was_detected_has_no_threshold(tmp_path, legends):
    plot_f1(
        tmp_path / "f1.png", scores=X, f1=np.zeros((1, len(X))), best=[(np.nan, 0.0)],
        mean=np.zeros(len(X)), names=["cat"],
    )  # fmt: skip
    assert legends == [["cat  0.00"]]


def test_one_class_needs_no_mean(tmp_path, legends):
    draw_curves(tmp_path, curves(1), np.array([70.0]))
    assert [len(texts) for texts in legends] == [1, 1]


def test_no_class_with_objects(tmp_path, legends):
    draw_curves(tmp_path, curves(2, unknown=2), np.array([np.nan, np.nan]))
    assert legends == [None, None]


@pytest.mark.parametrize("count", [0, 1, 3, 25])
def test_confusion_matrices(tmp_path, count):
    counts = np.random.default_rng(0).integers(0, 50, (count + 1, count + 1))
    counts[-1, -1] = 0
    path = tmp_path / "confusion.png"
    plot_confusion_matrix(
        path, counts=counts, names=names(count), score_threshold=0.25, iou_threshold=0.5
    )
    assert cv2.imread(str(path)).std() > 5


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        plot_confusion_matrix(
            tmp_path / "file" / "x.png", counts=np.zeros((2, 2), int), names=["a"],
            score_threshold=0.25, iou_threshold=0.5,
        )  # fmt: skip
