"""Ground truth and detections side by side, in colours that say what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from yolov7.visualization.colors import Color
from yolov7.visualization.draw import add_caption, image_grid
from yolov7.visualization.visualizer import Visualizer


class Verdict(Enum):
    """What a box is; its value is the colour (red, green, blue), distinct for all eyes."""

    RIGHT = (0, 158, 115)
    WRONG = (213, 94, 0)
    IGNORED = (150, 150, 150)


@dataclass(frozen=True)
class JudgedBoxes:
    """One side of a comparison.

    Attributes:
        boxes: (N, 4) xyxy pixels.
        labels: N texts.
        verdicts: N verdicts.
        masks: (N, H, W) bool, if there are any.
    """

    boxes: np.ndarray
    labels: Sequence[str]
    verdicts: Sequence[Verdict]
    masks: np.ndarray | None = None

    def count(self, verdict: Verdict) -> int:
        """Count the boxes with a verdict."""
        return sum(each is verdict for each in self.verdicts)


def draw_comparison(
    visualizer: Visualizer, image_bgr: np.ndarray, truth: JudgedBoxes, found: JudgedBoxes
) -> np.ndarray:
    """Draw the ground truth on the left and the detections on the right.

    Objects that were found and right detections are green, missed objects and wrong detections
    orange, and what does not count is grey. A caption counts them.

    Args:
        visualizer: draws both sides.
        image_bgr: (H, W, 3) uint8.
        truth: the objects; right ones were found, wrong ones were missed.
        found: the detections.

    Returns:
        A new BGR picture.
    """
    captions = (
        f"objects: {_count(truth, found='found', missed='missed')}",
        f"detections: {_count(found, found='right', missed='wrong')}",
    )
    sides = []
    for side, caption in zip((truth, found), captions, strict=True):
        drawn = visualizer.draw_objects(
            image_bgr,
            side.boxes,
            colors=[_bgr(verdict) for verdict in side.verdicts],
            labels=side.labels,
            masks=side.masks,
        )
        sides.append(add_caption(drawn, caption))
    return image_grid(sides, columns=2)


def _count(side: JudgedBoxes, *, found: str, missed: str) -> str:
    text = f"{side.count(Verdict.RIGHT)} {found}, {side.count(Verdict.WRONG)} {missed}"
    ignored = side.count(Verdict.IGNORED)
    return f"{text}, {ignored} do not count" if ignored else text


def _bgr(verdict: Verdict) -> Color:
    red, green, blue = verdict.value
    return blue, green, red
