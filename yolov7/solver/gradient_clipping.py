"""Gradient clipping by value or by norm, over all parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from yolov7.d2 import CfgNode
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

GradientClipper = Callable[[Iterable[Tensor]], None]


def clip_by_value(parameters: Iterable[Tensor], *, limit: float) -> None:
    """Clamp every gradient into [-limit, limit], in place."""
    gradients = _gradients(parameters)
    if gradients:
        torch._foreach_clamp_min_(gradients, -limit)
        torch._foreach_clamp_max_(gradients, limit)


def clip_by_norm(parameters: Iterable[Tensor], *, limit: float, norm_type: float) -> None:
    """Shrink each parameter's gradient to a norm of at most `limit`, in place."""
    gradients = _gradients(parameters)
    if gradients:
        norms = torch._foreach_norm(gradients, norm_type)
        factors = [(limit / (norm + 1e-6)).clamp(max=1.0) for norm in norms]
        torch._foreach_mul_(gradients, factors)


def clip_by_full_model_norm(
    parameters: Iterable[Tensor], *, limit: float, norm_type: float
) -> None:
    """Shrink all gradients by one factor, so that their common norm is at most `limit`."""
    torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type)


def build_gradient_clipper(cfg: CfgNode) -> GradientClipper | None:
    """Build what `SOLVER.CLIP_GRADIENTS` asks for: a function of the parameters, or None.

    Parameters without a gradient are left alone.

    Raises:
        ConfigError: CLIP_TYPE is not known.
    """
    clip = cfg.SOLVER.CLIP_GRADIENTS
    if not clip.ENABLED:
        return None
    limit, norm_type = clip.CLIP_VALUE, clip.NORM_TYPE
    clippers: dict[str, GradientClipper] = {
        "value": partial(clip_by_value, limit=limit),
        "norm": partial(clip_by_norm, limit=limit, norm_type=norm_type),
        "full_model": partial(clip_by_full_model_norm, limit=limit, norm_type=norm_type),
    }
    if clip.CLIP_TYPE not in clippers:
        raise ConfigError(
            f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE: there is no '{clip.CLIP_TYPE}'."
            f"{suggest(clip.CLIP_TYPE, clippers)}"
        )
    return clippers[clip.CLIP_TYPE]


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
