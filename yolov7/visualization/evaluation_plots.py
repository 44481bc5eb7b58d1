"""Plots of an evaluation: precision over recall, F1 over the score threshold, confusion matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from yolov7.visualization.figures import INK, PALE, add_axes, hex_color, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more classes only the best and the worst are named, and lie over the pale lines of the others.
_MOST_NAMED = 12
_NAMED_AT_EACH_END = 5
# Cells of larger matrices are too small for numbers.
_MOST_CLASSES_WITH_NUMBERS = 20
_LONGEST_NAME = 24


def plot_precision_recall(
    path: str | os.PathLike[str],
    *,
    recall: np.ndarray,
    precision: np.ndarray,
    ap50: np.ndarray,
    names: Sequence[str],
) -> None:
    """Draw the precision of each class over its recall, at IoU 0.5.

    Args:
        path: the PNG file to write.
        recall: (n,) levels.
        precision: (K, n) at these levels; a row of NaN is a class without objects.
        ap50: (K,) ×100, written beside the names; NaN likewise.
        names: K class names.

    Raises:
        UserError: the file cannot be written.
    """
    figure = new_figure((4.8, 7.6), title="precision over recall, IoU ≥ 0.5")
    axes = add_axes(figure)
    known = np.flatnonzero(~np.isnan(precision).any(axis=1))
    labels = [f"{_short(name)}  AP50 {value:.1f}" for name, value in zip(names, ap50, strict=True)]
    _class_lines(axes, recall, precision, known=known, rating=ap50, labels=labels)
    if len(known) > 1:
        mean = f"mean of {len(known)} classes  AP50 {ap50[known].mean():.1f}"
        axes.plot(recall, precision[known].mean(axis=0), color=INK, linewidth=2.5, label=mean)
    _finish_curves(axes, "recall", "precision", num_unknown=len(names) - len(known))
    save_figure(figure, path)


def plot_f1(
    path: str | os.PathLike[str],
    *,
    scores: np.ndarray,
    f1: np.ndarray,
    best: Sequence[tuple[float, float]],
    mean: np.ndarray,
    names: Sequence[str],
) -> None:
    """Draw the F1 of each class over the score threshold, at IoU 0.5, and mark the best thresholds.

    Args:
        path: the PNG file to write.
        scores: (n,) thresholds.
        f1: (K, n) at these thresholds; a row of NaN is a class without objects.
        best: (threshold, F1) of each class; the threshold is NaN where nothing was detected.
        mean: (n,) mean over the classes.
        names: K class names.

    Raises:
        UserError: the file cannot be written.
    """
    figure = new_figure((4.8, 7.6), title="F1 over the score threshold, IoU ≥ 0.5")
    axes = add_axes(figure)
    known = np.flatnonzero(~np.isnan(f1).any(axis=1))
    rating = np.array([value for _, value in best], float)
    labels = [
        f"{_short(name)}  {value:.2f}" + ("" if np.isnan(threshold) else f" at {threshold:.2f}")
        for name, (threshold, value) in zip(names, best, strict=True)
    ]
    _class_lines(axes, scores, f1, known=known, rating=rating, labels=labels)
    if len(known):
        top = len(mean) - 1 - int(np.argmax(mean[::-1]))
        if len(known) > 1:
            label = f"mean of {len(known)} classes  {mean[top]:.2f} at {scores[top]:.2f}"
            axes.plot(scores, mean, color=INK, linewidth=2.5, label=label)
        axes.axvline(scores[top], color=INK, linewidth=1, linestyle="--")
    _finish_curves(axes, "score threshold", "F1", num_unknown=len(names) - len(known))
    save_figure(figure, path)


def plot_confusion_matrix(
    path: str | os.PathLike[str],
    *,
    counts: np.ndarray,
    names: Sequence[str],
    score_threshold: float,
    iou_threshold: float,
) -> None:
    """Draw a confusion matrix; the colours are shares of a row, the numbers are counts.

    Args:
        path: the PNG file to write.
        counts: (K + 1, K + 1), rows: what the objects are, columns: what they were taken for; the
            last row is background, the last column are missed objects.
        names: K class names.
        score_threshold: the lowest score that counted, for the title.
        iou_threshold: the lowest IoU that counted, for the title.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.colors import PowerNorm

    size = len(names) + 1
    side = float(np.clip(2.6 + 0.34 * size, 4.6, 17))
    figure = new_figure((side, side + 1.2))
    axes = add_axes(figure)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The root makes a share of a few hundredths visible.
    shown = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    labels = [_short(name) for name in names]
    font_size = 8 if len(names) <= 40 else 6.5
    axes.set_xticks(range(size), [*labels, "missed"], rotation=90, fontsize=font_size)
    axes.set_yticks(range(size), [*labels, "background"], fontsize=font_size)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.axhline(size - 1.5, color=INK, linewidth=0.8)
    axes.axvline(size - 1.5, color=INK, linewidth=0.8)
    if len(names) <= _MOST_CLASSES_WITH_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.4 else INK
            axes.text(
                column, row, str(counts[row, column]), color=color, fontsize=8, ha="center",
                va="center",
            )  # fmt: skip
    bar = figure.colorbar(shown, ax=axes, shrink=0.5, pad=0.02, ticks=[0, 0.05, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0", "5 %", "25 %", "50 %", "100 %"], fontsize=8)
    bar.set_label("share of the row", fontsize=8)
    bar.outline.set_visible(False)
    axes.set_ylabel("is")
    axes.set_xlabel("was taken for")
    axes.set_title(f"score ≥ {score_threshold:g}, IoU ≥ {iou_threshold:g}", color=INK, fontsize=10)
    save_figure(figure, path)


def _class_lines(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    *,
    known: np.ndarray,
    rating: np.ndarray,
    labels: Sequence[str],
) -> None:
    """Draw a line (n,) for each known row of y (K, n); of many, name those with extreme ratings."""
    if len(known) <= _MOST_NAMED:
        named = known
    else:
        by_rating = known[np.argsort(-rating[known], kind="stable")]
        named = np.append(by_rating[:_NAMED_AT_EACH_END], by_rating[-_NAMED_AT_EACH_END:])
        axes.plot(x, y[known].T, color=PALE, linewidth=0.8)
    for place, k in enumerate(named):
        color = hex_color(k if len(named) == len(known) else place)
        axes.plot(x, y[k], color=color, linewidth=1.4, label=labels[k])


def _finish_curves(axes: Axes, x_label: str, y_label: str, *, num_unknown: int) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    without = f"classes without objects: {num_unknown}" if num_unknown else None
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), title=without,
            title_fontsize=8,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "no objects", ha="center", color=INK)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
