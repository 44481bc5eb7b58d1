"""Loss terms that count only in the last phase of training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping

from yolov7.d2 import HookBase

logger = logging.getLogger(__name__)


class LossPhase(HookBase):
    """Gives loss terms other weights from a certain iteration on (YOLOX: L1 at the end).

    The weights follow from the iteration alone, so a resumed run has the right ones.

    Args:
        loss_weights: the criterion's weights, changed in place.
        last_phase_weights: the terms and their weights in the last phase; before it they keep the
            weights that they have at construction.
        start: first iteration of the last phase.
    """

    def __init__(
        self,
        *,
        loss_weights: MutableMapping[str, float],
        last_phase_weights: Mapping[str, float],
        start: int,
    ):
        self._loss_weights = loss_weights
        self._before = {name: loss_weights[name] for name in last_phase_weights}
        self._after = dict(last_phase_weights)
        self._start = start

    def before_train(self) -> None:
        self._set(self.trainer.start_iter)

    def before_step(self) -> None:
        if self.trainer.iter == self._start:
            logger.info("The last phase starts: loss weights %s.", self._after)
            self._set(self.trainer.iter)

    def _set(self, iteration: int) -> None:
        self._loss_weights.update(self._after if iteration >= self._start else self._before)
