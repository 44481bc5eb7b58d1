"""From `MODEL.CRITERION` to the loss functions that it names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from yolov7.d2 import CfgNode
from yolov7.modeling.build import find_component
from yolov7.modeling.registries import LOSS_REGISTRY

ElementwiseLoss = Callable[[Tensor, Tensor], Tensor]
"""Called with what is predicted and what is wanted; no reduction."""


def elementwise_losses(cfg: CfgNode) -> dict[str, ElementwiseLoss]:
    """Look up `MODEL.CRITERION.{BOX,CLASS,OBJECTNESS}_LOSS`; a focal loss gets its numbers.

    Returns:
        `{"box_loss", "class_loss", "objectness_loss"}`.

    Raises:
        ConfigError: there is no such loss.
    """
    criterion = cfg.MODEL.CRITERION
    names = {
        "box_loss": criterion.BOX_LOSS,
        "class_loss": criterion.CLASS_LOSS,
        "objectness_loss": criterion.OBJECTNESS_LOSS,
    }
    numbers = {"focal": {"alpha": criterion.FOCAL_ALPHA, "gamma": criterion.FOCAL_GAMMA}}
    losses = {}
    for part, name in names.items():
        loss = find_component(LOSS_REGISTRY, name, f"MODEL.CRITERION.{part.upper()}")
        losses[part] = partial(loss, **numbers[name]) if name in numbers else loss
    return losses
