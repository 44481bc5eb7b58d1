"""Plots of a data set's labels and of a training run, as PNG files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from yolov7.d2 import BoxMode
from yolov7.utils.errors import UserError
from yolov7.visualization.figures import ACCENT, INK, hex_color, panel_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 40


def plot_label_statistics(
    records: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    path: str | os.PathLike[str],
) -> None:
    """Draw what a data set's labels look like: classes, box sizes, box centres, objects an image.

    Args:
        records: detectron2's standard dicts; crowd regions are left out.
        class_names: names by class index.
        path: the PNG file to write.

    Raises:
        UserError: the file cannot be written.
    """
    classes, boxes, image_sizes, counts = _collect(records)
    figure = panel_figure(4, title=f"{len(records)} images, {len(classes)} objects")
    axes = figure.axes
    _plot_classes(axes[0], classes, class_names)
    _plot_sizes(axes[1], boxes)
    _plot_centres(axes[2], figure, boxes, image_sizes)
    _plot_counts(axes[3], counts)
    save_figure(figure, path)


def plot_training_curves(
    metrics_json: str | os.PathLike[str], path: str | os.PathLike[str]
) -> bool:
    """Draw losses, average precision, learning rate and time an iteration over a training run.

    Validation losses have a panel of their own, where the training's total is drawn faintly.

    Args:
        metrics_json: a run's `metrics.json`, one JSON object a line with `iteration`.
        path: the PNG file to write.

    Returns:
        True if it was drawn; False, and no file, if there is nothing to draw yet.

    Raises:
        UserError: the file is missing or has a damaged line (the last may be cut off), or the plot
            cannot be written.
    """
    curves = _read_metrics(metrics_json)
    shown = _panels(curves)
    if not shown:
        return False
    figure = panel_figure(len(shown))
    for axes, (title, names) in zip(figure.axes, shown.items(), strict=True):
        for number, name in enumerate(names):
            color = INK if name.endswith("total_loss") else hex_color(number)
            if title == "validation loss" and name == "total_loss":
                color = _FAINT
            _plot_curve(axes, *curves[name], label=name, color=color)
        axes.set_xlabel("iteration")
        axes.set_title(title)
        series = [curves[name][1] for name in names]
        axes.set_ylim(0, _upper_limit(series) if title in _MAY_BE_CUT else None)
        axes.legend(fontsize=8, frameon=False)
    save_figure(figure, path)
    return True


def plot_anchors(
    sizes: np.ndarray,
    anchors: Sequence[Sequence[Sequence[float]]],
    path: str | os.PathLike[str],
) -> None:
    """Draw box sizes and anchors: width against height in pixels, both logarithmic.

    Args:
        sizes: boxes (M, 2), width and height.
        anchors: [width, height] of each anchor of each level, by ascending stride.
        path: the PNG file to write.

    Raises:
        UserError: the file cannot be written.
    """
    figure = panel_figure(1, title=f"{len(sizes):,} boxes")
    axes = figure.axes[0]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    alpha = float(np.clip(300 / max(len(sizes), 1), 0.02, 0.6))
    axes.scatter(*np.array(sizes).T, s=9, color=INK, alpha=alpha, linewidths=0, rasterized=True)
    for number, level in enumerate(anchors):
        axes.scatter(
            *np.array(level).T, s=70, marker="X", color=hex_color(number), edgecolors="white",
            label=f"anchors of level {number + 1}",
        )  # fmt: skip
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    axes.legend(fontsize=8, frameon=False)
    save_figure(figure, path)


_PRECISIONS = ("AP", "AP50", "AP75")
_FAINT = "#999999"
_MAY_BE_CUT = ("loss", "validation loss", "seconds an iteration")


def _panels(curves: Iterable[str]) -> dict[str, list[str]]:
    """Which curves are drawn under which title; panels without any are left out."""
    curves = sorted(curves)
    losses = [name for name in curves if "loss" in name and "validation/" not in name]
    validation = [name for name in curves if "validation/" in name]
    total = [name for name in losses if name == "total_loss"]
    panels = {
        "loss": losses,
        "validation loss": [*validation, *total] if validation else [],
        "average precision": [name for name in curves if name.split("/")[-1] in _PRECISIONS],
        "learning rate": [name for name in curves if name == "lr"],
        "seconds an iteration": [name for name in curves if name in ("time", "data_time")],
    }
    return {title: names for title, names in panels.items() if names}


def _collect(
    records: Sequence[Mapping[str, Any]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gather classes (M,), boxes (M, 4) xyxy, sizes (M, 2) of their images, objects an image."""
    classes, boxes, image_sizes, counts = [], [], [], []
    for record in records:
        objects = [item for item in record["annotations"] if not item.get("iscrowd", 0)]
        counts.append(len(objects))
        for item in objects:
            classes.append(item["category_id"])
            box = BoxMode.convert(list(item["bbox"]), item["bbox_mode"], BoxMode.XYXY_ABS)
            boxes.append(box)
            image_sizes.append((record["height"], record["width"]))
    return (
        np.array(classes, int),
        np.array(boxes, float).reshape(-1, 4),
        np.array(image_sizes, float).reshape(-1, 2),
        np.array(counts, int),
    )


def _plot_classes(axes: Axes, classes: np.ndarray, class_names: Sequence[str]) -> None:
    """Bars of objects a class; of many classes the most and the least frequent."""
    length = max(len(class_names), classes.max(initial=-1) + 1)
    counts = np.bincount(classes, minlength=length)
    shown = np.arange(length)
    title = "objects of each class"
    if length > _MOST_BARS:
        by_count = np.argsort(-counts, kind="stable")
        shown = np.concatenate([by_count[: _MOST_BARS // 2], by_count[-_MOST_BARS // 2 :]])
        title = f"the {_MOST_BARS // 2} most and least frequent of {length} classes"
    names = [class_names[i] if i < len(class_names) else str(i) for i in shown]
    bars = axes.bar(range(len(shown)), counts[shown], color=[hex_color(i) for i in shown])
    if len(shown) <= 20:
        axes.bar_label(bars, fontsize=8, color=INK)
    longest = max((len(name) for name in names), default=0)
    turned = longest * len(names) > 60
    axes.set_xticks(range(len(shown)), names, rotation=90 if turned else 0, fontsize=8)
    axes.set_title(title)
    axes.grid(visible=False, axis="x")


def _plot_sizes(axes: Axes, boxes: np.ndarray) -> None:
    """Width against height in pixels, with COCO's limits between small, medium and large."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.5)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    alpha = float(np.clip(300 / max(len(sides), 1), 0.05, 0.6))
    axes.scatter(sides[:, 0], sides[:, 1], s=9, color=ACCENT, alpha=alpha, linewidths=0)
    largest = max(sides.max(initial=0.0), 128.0) * 1.3
    smallest = min(sides.min(initial=8.0), 8.0) / 1.3
    for side in (32, 96):
        ends = np.array([smallest, largest])
        axes.plot(ends, side**2 / ends, color=INK, linewidth=0.8, linestyle="--")
        left = max(smallest, side**2 / largest) * 1.2
        axes.text(left, side**2 / left, f" {side}²", fontsize=8, va="bottom", color=INK)
    axes.set_xlim(smallest, largest)
    axes.set_ylim(smallest, largest)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("width in pixels")
    axes.set_ylabel("height in pixels")
    axes.set_title("box sizes (dashed: COCO's small | medium | large)")


def _plot_centres(axes: Axes, figure: Figure, boxes: np.ndarray, image_sizes: np.ndarray) -> None:
    """How often a box centre lies where, in parts of its image."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.maximum(image_sizes[:, ::-1], 1)
    bins = int(np.clip(math.sqrt(len(boxes)) / 2, 8, 50))
    heat, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=bins, range=[[0, 1], [0, 1]])
    shown = axes.imshow(heat, extent=(0, 1, 1, 0), cmap="viridis", aspect="equal", vmin=0)
    figure.colorbar(shown, ax=axes, label="objects", fraction=0.046)
    axes.grid(visible=False)
    axes.set_xlabel("x / image width")
    axes.set_ylabel("y / image height")
    axes.set_title("box centres")


def _plot_counts(axes: Axes, counts: np.ndarray) -> None:
    largest = int(counts.max(initial=0))
    if largest <= 60:
        values = np.bincount(counts, minlength=largest + 1)
        axes.bar(range(largest + 1), values, color=ACCENT)
    else:
        axes.hist(counts, bins=60, color=ACCENT)
    empty = int((counts == 0).sum())
    axes.set_xlabel("objects in an image")
    axes.set_ylabel("images")
    axes.set_title(f"objects an image ({empty} images have none)")
    axes.grid(visible=False, axis="x")


def _read_metrics(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a run's metrics: name -> (iterations, values), both (T,), non-finite values left out."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    points: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            iteration = values["iteration"]
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                continue  # the run was killed while it wrote this line
            raise UserError(
                f"{path}, line {number}: expected a JSON object with 'iteration', got {line[:80]!r}"
            ) from error
        for name, value in values.items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                points.setdefault(name, []).append((iteration, value))
    return {name: tuple(np.array(sorted(pairs)).T) for name, pairs in points.items()}


def _plot_curve(
    axes: Axes, iterations: np.ndarray, values: np.ndarray, *, label: str, color: str
) -> None:
    """Draw a curve; a long one pale, with its running mean on top."""
    if len(values) < 50:
        marker = "o" if len(values) < 30 else None
        axes.plot(iterations, values, color=color, label=label, marker=marker, markersize=3)
        return
    axes.plot(iterations, values, color=color, alpha=0.25, linewidth=0.8)
    window = max(5, len(values) // 40)
    padded = np.pad(values, (window // 2, window - 1 - window // 2), mode="edge")
    mean = np.convolve(padded, np.full(window, 1 / window), mode="valid")
    axes.plot(iterations, mean, color=color, label=label)


def _upper_limit(series: Sequence[np.ndarray]) -> float | None:
    """Leave a few enormous values (the first losses) out of sight when they would flatten the rest.

    Returns:
        The axis's upper end, or None to show all.
    """
    bulk = max(float(np.quantile(values, 0.95, method="lower")) for values in series)
    largest = max(float(values.max()) for values in series)
    return 1.3 * bulk if 0 < 3 * bulk < largest else None
