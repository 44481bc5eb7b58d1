"""Which parameters get which weight decay and learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.utils.errors import ConfigError

BACKBONE = "backbone_"
"""Begins the names of the groups that `SOLVER.BACKBONE_MULTIPLIER` makes."""

_NORM_LAYERS = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    weight_decay_norm: float | None = None,
    weight_decay_bias: float | None = None,
    bias_lr_factor: float = 1.0,
    backbone_multiplier: float = 1.0,
) -> list[dict[str, Any]]:
    """Sort the trainable parameters into a few groups for an optimiser.

    The groups are, in this order and left out when empty: `norm` (scales of normalisation
    layers), `weight`, `bias` (every parameter named `bias`, those of normalisation layers too),
    `no_decay` (what a module names in `no_weight_decay()`, relative to itself, as in timm). With a
    `backbone_multiplier` the same ones follow for the backbone: `backbone_norm` and so on.

    Args:
        model: the model; shared parameters are taken once, frozen ones are left out.
        lr: learning rate of all groups but `bias`.
        weight_decay: decay of `weight`.
        weight_decay_norm: decay of `norm`; None for `weight_decay`.
        weight_decay_bias: decay of `bias`; None, as in detectron2, for the decay of the layer
            that the bias belongs to, which then splits off the group `norm_bias`.
        bias_lr_factor: `bias` learns at `lr` times this.
        backbone_multiplier: parameters of the model's child `backbone` learn at their rate times
            this; 1 makes no groups of their own.

    Returns:
        Dicts `{"name", "params", "lr", "weight_decay"}`.

    Raises:
        ConfigError: `backbone_multiplier` is negative.
    """
    decay_norm = weight_decay if weight_decay_norm is None else weight_decay_norm
    decays = {
        "norm": decay_norm,
        "weight": weight_decay,
        "bias": weight_decay if weight_decay_bias is None else weight_decay_bias,
        "norm_bias": decay_norm,
        "no_decay": 0.0,
    }
    if backbone_multiplier < 0:
        raise ConfigError(
            f"SOLVER.BACKBONE_MULTIPLIER must be 0 (the backbone stays as it is) or more, got "
            f"{backbone_multiplier}."
        )
    multipliers = {"": 1.0, BACKBONE: backbone_multiplier}
    members: dict[tuple[str, str], list[nn.Parameter]] = {
        (part, name): [] for part in multipliers for name in decays
    }
    exempt = _names_without_decay(model)
    split_norm_biases = weight_decay_bias is None and decay_norm != weight_decay
    split_backbone = backbone_multiplier != 1.0
    seen: set[nn.Parameter] = set()
    for prefix, module in model.named_modules():
        part = BACKBONE if split_backbone and f"{prefix}.".startswith("backbone.") else ""
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            is_norm = isinstance(module, _NORM_LAYERS)
            if _join(prefix, name) in exempt:
                group = "no_decay"
            elif name == "bias":
                group = "norm_bias" if is_norm and split_norm_biases else "bias"
            else:
                group = "norm" if is_norm else "weight"
            members[part, group].append(parameter)
    return [
        {
            "name": f"{part}{name}",
            "params": parameters,
            "lr": lr * multipliers[part] * (bias_lr_factor if name.endswith("bias") else 1.0),
            "weight_decay": decays[name],
        }
        for (part, name), parameters in members.items()
        if parameters
    ]


def _names_without_decay(model: nn.Module) -> set[str]:
    return {
        _join(prefix, name)
        for prefix, module in model.named_modules()
        if hasattr(module, "no_weight_decay")
        for name in module.no_weight_decay()
    }


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
