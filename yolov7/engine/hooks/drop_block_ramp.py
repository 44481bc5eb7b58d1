"""The strength of DropBlock in each iteration."""

from __future__ import annotations

from collections.abc import Sequence

from yolov7.d2 import HookBase
from yolov7.layers import DropBlock


class DropBlockRamp(HookBase):
    """Lets DropBlock drop more and more, linearly from nothing (arXiv:1810.12890, section 3).

    The strength follows from the iteration alone, so a resumed run has the right one.

    Args:
        blocks: the layers.
        ramp_iters: the iteration from which on all of their share is dropped; 0 for always.
    """

    def __init__(self, blocks: Sequence[DropBlock], *, ramp_iters: int):
        self._blocks = list(blocks)
        self._ramp_iters = ramp_iters

    def before_step(self) -> None:
        iteration = self.trainer.iter
        strength = iteration / self._ramp_iters if iteration < self._ramp_iters else 1.0
        for block in self._blocks:
            block.strength.fill_(strength)
