"""The optimisers that `SOLVER.OPTIMIZER` names."""

from __future__ import annotations

from typing import Any

from torch import nn, optim

from yolov7.d2 import CfgNode, Registry
from yolov7.solver.param_groups import parameter_groups
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

OPTIMIZER_REGISTRY = Registry("OPTIMIZER")
OPTIMIZER_REGISTRY.__doc__ = """Functions `(cfg, parameter groups) -> torch.optim.Optimizer`."""


def build_optimizer(cfg: CfgNode, model: nn.Module) -> optim.Optimizer:
    """Build the optimiser `SOLVER.OPTIMIZER` over the groups of `parameter_groups`.

    Raises:
        ConfigError: there is no optimiser of that name.
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in OPTIMIZER_REGISTRY:
        known = [name for name, _ in OPTIMIZER_REGISTRY]
        raise ConfigError(
            f"SOLVER.OPTIMIZER: there is no '{solver.OPTIMIZER}'.{suggest(solver.OPTIMIZER, known)}"
        )
    groups = parameter_groups(
        model,
        lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        backbone_multiplier=solver.BACKBONE_MULTIPLIER,
    )
    return OPTIMIZER_REGISTRY.get(solver.OPTIMIZER)(cfg, groups)


# `foreach` updates all tensors of a group by one call: no loop over parameters in Python.
@OPTIMIZER_REGISTRY.register()
def SGD(cfg: CfgNode, groups: list[dict[str, Any]]) -> optim.Optimizer:
    """Stochastic gradient descent with `SOLVER.MOMENTUM` and `SOLVER.NESTEROV`."""
    return optim.SGD(
        groups, momentum=cfg.SOLVER.MOMENTUM, nesterov=cfg.SOLVER.NESTEROV, foreach=True
    )


@OPTIMIZER_REGISTRY.register()
def AdamW(cfg: CfgNode, groups: list[dict[str, Any]]) -> optim.Optimizer:
    """AdamW with PyTorch's betas."""
    return optim.AdamW(groups, foreach=True)
