"""Figures for plots: one look, and files that are written whole.

They are made without pyplot, so that a notebook's or another program's backend stays as it is.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from yolov7.utils.atomic import atomic_write
from yolov7.visualization.colors import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE, ACCENT = "#333333", "#dddddd", "#0072B2"
_DPI = 120


def new_figure(size: tuple[float, float], *, title: str = "") -> Figure:
    """Make an empty figure.

    Args:
        size: (height, width) in inches of 120 pixels.
        title: written above everything.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size[::-1], dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, color=INK)
    return figure


def panel_figure(panels: int, *, title: str = "") -> Figure:
    """Make a figure with axes in rows of two."""
    columns = min(panels, 2)
    rows = math.ceil(panels / columns)
    figure = new_figure((4.2 * rows, 5.6 * columns), title=title)
    for number in range(1, panels + 1):
        add_axes(figure, rows, columns, number)
    return figure


def add_axes(figure: Figure, rows: int = 1, columns: int = 1, number: int = 1) -> Axes:
    """Add axes in the project's look; `number` counts the cells of the grid from 1."""
    axes = figure.add_subplot(rows, columns, number)
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    return axes


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def hex_color(index: int) -> str:
    """Give the colour of a class as matplotlib's text."""
    return "#{:02x}{:02x}{:02x}".format(*class_color(index))
