"""Learning rate schedules: factors of the base rate as pure functions of the iteration.

Iteration i runs with `factor(i)`, so nothing but the number of the iteration decides the rate, and
a resumed run continues exactly.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from yolov7.d2 import CfgNode, Registry
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

LR_SCHEDULE_REGISTRY = Registry("LR_SCHEDULE")
LR_SCHEDULE_REGISTRY.__doc__ = """Functions `(cfg) -> (iteration -> factor of the base rate)`."""

_WARM_UPS: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 0.0,
    "linear": lambda progress: progress,
    "quadratic": lambda progress: progress * progress,
}


def cosine(progress: float, *, end: float) -> float:
    """Half a cosine from 1 (at `progress` 0) to `end` (at 1)."""
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def multi_step(iteration: int, *, milestones: Sequence[int], gamma: float) -> float:
    """`gamma` to the power of the number of milestones reached."""
    return gamma ** bisect_right(milestones, iteration)


def cosine_then_flat(
    iteration: int, *, start: int, max_iter: int, flat_iters: int, end: float
) -> float:
    """Cosine from 1 at `start` down to `end`, which holds for the last `flat_iters` (YOLOX)."""
    if iteration >= max_iter - flat_iters:
        return end
    return cosine((iteration - start) / (max_iter - flat_iters - start), end=end)


def warm_up(iteration: int, *, iterations: int, start: float, target: float, method: str) -> float:
    """The factor during warm-up, between `start` and `target`.

    Args:
        iteration: below `iterations`.
        iterations: length of the warm-up.
        start: factor of the first iteration.
        target: factor of the first iteration after the warm-up.
        method: "constant" (stays at `start`), "linear" or "quadratic" (YOLOX).
    """
    return start + (target - start) * _WARM_UPS[method](iteration / iterations)


def build_lr_scheduler(cfg: CfgNode, optimizer: Optimizer) -> LambdaLR:
    """Build the schedule `SOLVER.LR_SCHEDULER_NAME`, to be stepped after every iteration.

    "WarmupCosineLR" and "WarmupMultiStepLR" give detectron2's rates. "WarmupCosineFlatLR" is
    YOLOX's: with WARMUP_METHOD "quadratic" and WARMUP_FACTOR 0 the very first iteration has rate
    0, as in the authors' code. With `WARMUP_BIAS_LR` the groups of biases start from that rate.

    Raises:
        ConfigError: the schedule or the warm-up is not known, or its numbers contradict.
    """
    solver = cfg.SOLVER
    name = solver.LR_SCHEDULER_NAME
    if name not in LR_SCHEDULE_REGISTRY:
        known = [entry for entry, _ in LR_SCHEDULE_REGISTRY]
        raise ConfigError(f"SOLVER.LR_SCHEDULER_NAME: there is no '{name}'.{suggest(name, known)}")
    if solver.WARMUP_METHOD not in _WARM_UPS:
        raise ConfigError(
            f"SOLVER.WARMUP_METHOD: there is no '{solver.WARMUP_METHOD}'."
            f"{suggest(solver.WARMUP_METHOD, _WARM_UPS)}"
        )
    if solver.MAX_ITER < 1:
        raise ConfigError(f"SOLVER.MAX_ITER must be at least 1, got {solver.MAX_ITER}.")
    if not 0 <= solver.BASE_LR_END <= solver.BASE_LR:
        raise ConfigError(
            f"SOLVER.BASE_LR_END must lie between 0 and SOLVER.BASE_LR ({solver.BASE_LR}), "
            f"got {solver.BASE_LR_END}."
        )
    factor = bias_factor = LR_SCHEDULE_REGISTRY.get(name)(cfg)
    if solver.WARMUP_BIAS_LR is not None:
        bias_factor = LR_SCHEDULE_REGISTRY.get(name)(_with_bias_warm_up(cfg))
    is_bias = [group.get("name", "").endswith("bias") for group in optimizer.param_groups]
    return LambdaLR(optimizer, [bias_factor if bias else factor for bias in is_bias])


@LR_SCHEDULE_REGISTRY.register()
def WarmupMultiStepLR(cfg: CfgNode) -> Callable[[int], float]:
    """detectron2's: times `SOLVER.GAMMA` at each of `SOLVER.STEPS`."""
    solver = cfg.SOLVER
    milestones = [step for step in solver.STEPS if step <= solver.MAX_ITER]
    if len(milestones) < len(solver.STEPS):
        logger.warning(
            "SOLVER.STEPS %s beyond SOLVER.MAX_ITER (%d) have no effect.",
            [step for step in solver.STEPS if step > solver.MAX_ITER],
            solver.MAX_ITER,
        )

    def factor(iteration: int) -> float:
        return multi_step(iteration, milestones=milestones, gamma=solver.GAMMA)

    return _with_warm_up(cfg, factor)


@LR_SCHEDULE_REGISTRY.register()
def WarmupCosineLR(cfg: CfgNode) -> Callable[[int], float]:
    """detectron2's: a cosine, whose beginning the warm-up replaces unless RESCALE_INTERVAL."""
    solver = cfg.SOLVER

    start = solver.WARMUP_ITERS if solver.RESCALE_INTERVAL else 0

    def factor(iteration: int) -> float:
        return cosine((iteration - start) / max(solver.MAX_ITER - start, 1), end=_end(cfg))

    return _with_warm_up(cfg, factor)


@LR_SCHEDULE_REGISTRY.register()
def WarmupCosineFlatLR(cfg: CfgNode) -> Callable[[int], float]:
    """YOLOX's: warm-up, a cosine between it and the last `SOLVER.FLAT_ITERS`, constant there."""
    solver = cfg.SOLVER
    if solver.WARMUP_ITERS + solver.FLAT_ITERS > solver.MAX_ITER:
        raise ConfigError(
            f"SOLVER.WARMUP_ITERS ({solver.WARMUP_ITERS}) and SOLVER.FLAT_ITERS "
            f"({solver.FLAT_ITERS}) are together longer than SOLVER.MAX_ITER ({solver.MAX_ITER})."
        )

    def factor(iteration: int) -> float:
        return cosine_then_flat(
            iteration,
            start=solver.WARMUP_ITERS,
            max_iter=solver.MAX_ITER,
            flat_iters=solver.FLAT_ITERS,
            end=_end(cfg),
        )

    return _with_warm_up(cfg, factor, target=1.0)


def _with_bias_warm_up(cfg: CfgNode) -> CfgNode:
    """The same config, but the warm-up starts where that of biases does."""
    base = cfg.SOLVER.BASE_LR * cfg.SOLVER.BIAS_LR_FACTOR
    if not base:
        raise ConfigError(
            "SOLVER.WARMUP_BIAS_LR is of no use when SOLVER.BASE_LR or SOLVER.BIAS_LR_FACTOR is 0"
        )
    changed = cfg.clone()
    changed.defrost()
    changed.SOLVER.WARMUP_FACTOR = cfg.SOLVER.WARMUP_BIAS_LR / base
    return changed


def _end(cfg: CfgNode) -> float:
    return cfg.SOLVER.BASE_LR_END / cfg.SOLVER.BASE_LR if cfg.SOLVER.BASE_LR else 1.0


def _with_warm_up(
    cfg: CfgNode, factor: Callable[[int], float], *, target: float | None = None
) -> Callable[[int], float]:
    """Put the configured warm-up before `factor`, ending at `target` or where `factor` is then."""
    solver = cfg.SOLVER
    length = min(solver.WARMUP_ITERS, solver.MAX_ITER)
    target = factor(length) if target is None else target

    def with_warm_up(iteration: int) -> float:
        if iteration >= length:
            return factor(iteration)
        return warm_up(
            iteration,
            iterations=length,
            start=solver.WARMUP_FACTOR,
            target=target,
            method=solver.WARMUP_METHOD,
        )

    return with_warm_up
