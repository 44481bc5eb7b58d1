"""Where the time of a training went."""

from __future__ import annotations

import datetime
import logging
import time

from yolov7.d2 import HookBase
from yolov7.engine.hooks.iteration_timer import IterationTimer

logger = logging.getLogger(__name__)

_MOST_NAMED = 5
_LEAST_SECONDS = 0.05


class TimeReport(HookBase):
    """Logs the time of the whole run, of its steps, and of the slowest hooks.

    Register it last, so that the final evaluation and all else that hooks do in the end counts.

    Args:
        timer: knows the time of the steps.
    """

    def __init__(self, timer: IterationTimer):
        self._timer = timer
        self._start = time.perf_counter()

    def before_train(self) -> None:
        # All hooks have done this by now, and some of them much.
        in_hooks = sum(self.trainer.hook_seconds.values())
        self._start = time.perf_counter() - in_hooks

    def after_train(self) -> None:
        hooks = self.trainer.hook_seconds
        steps, in_steps = self._timer.steps, self._timer.seconds
        if steps:
            logger.info(
                "%d iterations in %s (%.4f s each).", steps, _duration(in_steps), in_steps / steps
            )
        slowest = sorted(hooks, key=hooks.__getitem__, reverse=True)
        named = [
            f"{name} {hooks[name]:.1f} s"
            for name in slowest[:_MOST_NAMED]
            if hooks[name] >= _LEAST_SECONDS
        ]
        logger.info(
            "Total training time: %s (%s on hooks%s).",
            _duration(time.perf_counter() - self._start),
            _duration(sum(hooks.values())),
            f": {', '.join(named)}" if named else "",
        )


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
