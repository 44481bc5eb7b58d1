"""What criteria say of the boxes of their pairs: one term an aspect, without reduction.

A term is called with `Pairs` and gives one loss a pair, in at least float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.losses.elementwise import ElementwiseLoss
from yolov7.ops.box_ops import box_area


@dataclass(frozen=True, eq=False)
class Pairs:
    """F predictions and the objects that they answer for.

    Attributes:
        deltas: ``(F, 4)`` raw regressions.
        places: centres ``(F, 2)``, strides ``(F,)`` and anchors ``(F, 2)`` or None, as box coders
            take them.
        boxes: ``(F, 4)`` xyxy pixels of the objects.
        frame: ``(2,)`` width and height of the padded input.
        num_classes: ``(F,)``, how many different classes the pair's prediction answers for.
    """

    deltas: Tensor
    places: tuple[Tensor, Tensor, Tensor | None]
    boxes: Tensor
    frame: Tensor
    num_classes: Tensor


RegressionTerm = Callable[[Pairs], Tensor]
"""Called with pairs, gives ``(F,)`` losses."""


@dataclass(frozen=True)
class DecodedBoxes:
    """A loss of decoded boxes, such as 1 − CIoU, whose gradient goes through the coder.

    Attributes:
        box_coder: of the head's family.
        box_loss: of ``(F, 4)`` predicted and true boxes, ``(F,)``.
    """

    box_coder: BoxCoder
    box_loss: ElementwiseLoss

    def __call__(self, pairs: Pairs) -> Tensor:
        """Losses ``(F,)``."""
        return self.box_loss(self.box_coder.decode(pairs.deltas, *pairs.places), pairs.boxes)


@dataclass(frozen=True)
class Centers:
    """A loss of the centres within their cells, larger for small objects (`size_factor`).

    Attributes:
        box_coder: one whose first two regressions are logits.
        loss: of the two logits and what their sigmoids should be, elementwise.
    """

    box_coder: BoxCoder
    loss: ElementwiseLoss

    def __call__(self, pairs: Pairs) -> Tensor:
        """Losses ``(F,)``, summed over x and y."""
        wanted = self.box_coder.encode(pairs.boxes, *pairs.places)[:, :2].sigmoid()
        return size_factor(pairs) * self.loss(pairs.deltas[:, :2], wanted).sum(dim=1)


@dataclass(frozen=True)
class Sizes:
    """L1 between raw regressions of the sizes and the object's, larger for small objects.

    With `YOLOv4BoxCoder` these are logarithms of the ratio to the anchor.

    Attributes:
        box_coder: of the head's family.
    """

    box_coder: BoxCoder

    def __call__(self, pairs: Pairs) -> Tensor:
        """Losses ``(F,)``, summed over width and height."""
        wanted = self.box_coder.encode(pairs.boxes, *pairs.places)[:, 2:]
        return size_factor(pairs) * (pairs.deltas[:, 2:] - wanted).abs().sum(dim=1)


def size_factor(pairs: Pairs) -> Tensor:
    """``2 − area of the object / area of the frame`` ``(F,)``, YOLOv3's weight."""
    return 2 - box_area(pairs.boxes) / pairs.frame.prod()
