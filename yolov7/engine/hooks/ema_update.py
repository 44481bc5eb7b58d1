"""The moving average of the weights."""

from __future__ import annotations

from yolov7.d2 import HookBase
from yolov7.engine.ema import ModelEMA


class EMAUpdate(HookBase):
    """Updates the average after every iteration.

    Args:
        ema: the average of the trainer's model.
    """

    def __init__(self, ema: ModelEMA):
        self._ema = ema

    def after_step(self) -> None:
        self._ema.update()
