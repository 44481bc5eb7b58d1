"""The end of a training that no longer gets better."""

from __future__ import annotations

import logging

from yolov7.d2 import HookBase
from yolov7.engine.hooks.best_checkpoint import BestCheckpoint

logger = logging.getLogger(__name__)


class EarlyStopping(HookBase):
    """Ends training when so many evaluations in a row were not better than the best before them.

    Training is then complete: it has its `model_final.pth`, and the evaluation that decided is
    the final one. Register it right after the hook that knows the best; that one's state is all
    there is, so a resumed run decides alike, and one that has ended goes on if the patience was
    raised.

    Args:
        best: what is known about the evaluations, the same on all ranks.
        patience: number of evaluations, at least 1.
    """

    def __init__(self, best: BestCheckpoint, *, patience: int):
        self._best = best
        self._patience = patience

    def before_train(self) -> None:
        self._decide(self.trainer.start_iter)

    def after_step(self) -> None:
        self._decide(self.trainer.iter + 1)

    def _decide(self, num_iter: int) -> None:
        if self._best.evaluations_since < self._patience or num_iter >= self.trainer.max_iter:
            return
        logger.info(
            "Training ends early, after %d of %d iterations: the best %s was %s, at iteration %s, "
            "and %d evaluations since then were not better. To go on, raise "
            "SOLVER.EARLY_STOPPING_PATIENCE (%d) and --resume.",
            num_iter,
            self.trainer.max_iter,
            self._best.metric,
            "never a number" if self._best.best is None else f"{self._best.best:.3f}",
            self._best.best_iter,
            self._best.evaluations_since,
            self._patience,
        )
        self.trainer.finish_early(num_iter)
