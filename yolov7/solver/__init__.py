"""Optimisers, their parameter groups, learning rate schedules and gradient clipping."""

from yolov7.solver.gradient_clipping import build_gradient_clipper
from yolov7.solver.lr_schedule import (
    LR_SCHEDULE_REGISTRY,
    build_lr_scheduler,
    cosine,
    cosine_then_flat,
    multi_step,
    warm_up,
)
from yolov7.solver.momentum_schedule import build_momentum_schedule, set_momentum
from yolov7.solver.optimizer import OPTIMIZER_REGISTRY, build_optimizer
from yolov7.solver.param_groups import parameter_groups

__all__ = [
    "LR_SCHEDULE_REGISTRY",
    "OPTIMIZER_REGISTRY",
    "build_gradient_clipper",
    "build_lr_scheduler",
    "build_momentum_schedule",
    "build_optimizer",
    "cosine",
    "cosine_then_flat",
    "multi_step",
    "parameter_groups",
    "set_momentum",
    "warm_up",
]
