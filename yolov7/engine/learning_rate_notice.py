"""Says at the start of a training whether the learning rate was chosen for another batch."""

from __future__ import annotations

import logging
import math

from yolov7.d2 import CfgNode

logger = logging.getLogger(__name__)


def note_learning_rate(cfg: CfgNode) -> None:
    """Warn when `SOLVER.IMS_PER_BATCH` is not what `SOLVER.BASE_LR` was chosen for.

    Both common rules are told: for SGD the rate grows with the batch (arXiv:1706.02677), for Adam
    and its kin with the batch's square root. Nothing is changed.
    """
    solver = cfg.SOLVER
    chosen_for, batch = solver.LR_IMS_PER_BATCH, solver.IMS_PER_BATCH
    if chosen_for in (0, batch):
        return
    ratio = batch / chosen_for
    is_adam = "adam" in solver.OPTIMIZER.lower()
    factor = math.sqrt(ratio) if is_adam else ratio
    rule = "the square root of the batch" if is_adam else "the batch"
    logger.warning(
        "SOLVER.BASE_LR %g was chosen for batches of %d pictures (SOLVER.LR_IMS_PER_BATCH), and "
        "SOLVER.IMS_PER_BATCH is %d. Nothing is rescaled by itself. Growing with %s, as usual for "
        "%s, BASE_LR would be %.4g (%.3g times); %d iterations would see as many pictures as %d "
        "do. Set SOLVER.LR_IMS_PER_BATCH %d when the rate is chosen for this batch.",
        solver.BASE_LR, chosen_for, batch, rule, solver.OPTIMIZER, solver.BASE_LR * factor, factor,
        math.ceil(solver.MAX_ITER / ratio), solver.MAX_ITER, batch,
    )  # fmt: skip
