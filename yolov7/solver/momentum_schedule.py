"""The momentum of each iteration, a pure function of its number."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

from yolov7.d2 import CfgNode
from yolov7.solver.lr_schedule import warm_up
from yolov7.utils.errors import ConfigError


def build_momentum_schedule(cfg: CfgNode) -> Callable[[int], float] | None:
    """Build the linear warm-up from `SOLVER.WARMUP_MOMENTUM` to `MOMENTUM`; None for no warm-up.

    Raises:
        ConfigError: the optimiser has no momentum.
    """
    solver = cfg.SOLVER
    if solver.WARMUP_MOMENTUM is None:
        return None
    if solver.OPTIMIZER != "SGD":
        raise ConfigError(
            f"SOLVER.WARMUP_MOMENTUM: the optimiser {solver.OPTIMIZER} has no momentum to warm up. "
            "Take SGD, or set it to None"
        )
    length = min(solver.WARMUP_ITERS, solver.MAX_ITER)

    def momentum(iteration: int) -> float:
        if iteration >= length:
            return solver.MOMENTUM
        return warm_up(
            iteration,
            iterations=length,
            start=solver.WARMUP_MOMENTUM,
            target=solver.MOMENTUM,
            method="linear",
        )

    return momentum


def set_momentum(optimizer: Optimizer, momentum: float) -> None:
    """Let an optimiser make its next step with a momentum."""
    for group in optimizer.param_groups:
        group["momentum"] = momentum
