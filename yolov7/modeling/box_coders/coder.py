"""What criteria and postprocessors ask of a box coder."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class BoxCoder(Protocol):
    """A pair of functions between raw box regressions and boxes; leading dimensions broadcast.

    Attributes:
        uses_anchors: whether boxes are counted from anchors, which must then be given.
        logit_centers: whether the first two regressions are logits, of a place about the cell.
    """

    uses_anchors: bool
    logit_centers: bool

    def decode(
        self, box_deltas: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Boxes ``(..., 4)`` xyxy pixels from regressions ``(..., 4)``."""
        ...

    def encode(
        self, boxes: Tensor, centers: Tensor, strides: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Regressions ``(..., 4)`` that decode to ``boxes`` ``(..., 4)`` xyxy pixels."""
        ...


def required(anchors: Tensor | None, coder: BoxCoder) -> Tensor:
    """The anchors themselves.

    Raises:
        ValueError: there are none.
    """
    if anchors is None:
        name = type(coder).__name__
        raise ValueError(f"{name} needs the anchors of a head that has some, got None")
    return anchors
