"""From `MODEL.CRITERION` to the loss functions that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from yolov7.d2 import CfgNode
from yolov7.modeling.build import find_component
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import LOSS_REGISTRY
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect

ElementwiseLoss = Callable[[Tensor, Tensor], Tensor]
"""Called with what is predicted and what is wanted; no reduction."""


def elementwise_losses(cfg: CfgNode) -> dict[str, ElementwiseLoss]:
    """Look up `MODEL.CRITERION.{BOX,CLASS,OBJECTNESS}_LOSS`; a focal loss gets its numbers.

    Returns:
        `{"box_loss", "class_loss", "objectness_loss"}`.

    Raises:
        ConfigError: there is no such loss, it compares something else, or a number of focal loss
            is out of range.
    """
    criterion = cfg.MODEL.CRITERION
    names = {
        "box_loss": criterion.BOX_LOSS,
        "class_loss": criterion.CLASS_LOSS,
        "objectness_loss": criterion.OBJECTNESS_LOSS,
    }
    alpha, gamma = criterion.FOCAL_ALPHA, criterion.FOCAL_GAMMA
    expect(0 <= alpha <= 1, "MODEL.CRITERION.FOCAL_ALPHA", "a number in [0, 1]", alpha)
    expect(gamma >= 0, "MODEL.CRITERION.FOCAL_GAMMA", "a number >= 0", gamma)
    numbers = {"focal": {"alpha": alpha, "gamma": gamma}}
    losses = {}
    for part, name in names.items():
        loss = find_component(LOSS_REGISTRY, name, f"MODEL.CRITERION.{part.upper()}")
        losses[part] = partial(loss, **numbers[name]) if name in numbers else loss
        _check_kind(losses[part], name, part)
    return losses


def center_loss(cfg: CfgNode) -> ElementwiseLoss:
    """Look up `MODEL.CRITERION.CENTER_LOSS`, a loss of logits.

    Raises:
        ConfigError: there is no such loss, or it compares something else.
    """
    name = cfg.MODEL.CRITERION.CENTER_LOSS
    loss = find_component(LOSS_REGISTRY, name, "MODEL.CRITERION.CENTER_LOSS")
    _check_kind(loss, name, "center_loss")
    return loss


def check_level_balance(balance: Sequence[float]) -> None:
    """Refuse what cannot be weights of levels.

    Raises:
        ConfigError: the list is empty, or holds something but numbers of at least 0.
    """
    fits = all(isinstance(weight, int | float) and weight >= 0 for weight in balance)
    wanted = "for each of the head's levels, finest first, a number >= 0"
    expect(fits and len(balance) > 0, "MODEL.CRITERION.LEVEL_BALANCE", wanted, balance)


def check_levels(balance: Sequence[float], predictions: DensePredictions) -> None:
    """Refuse predictions on another number of levels than there are weights.

    Raises:
        ConfigError: naming both numbers.
    """
    levels = len(predictions.level_sizes)
    if levels != len(balance):
        raise ConfigError(
            f"MODEL.CRITERION.LEVEL_BALANCE has {len(balance)} numbers, but the head predicts on "
            f"{levels} levels; give one a level, finest first"
        )


def term_weights(cfg: CfgNode) -> dict[str, float]:
    """The weights of the terms that those losses make.

    Returns:
        `{"box", "objectness", "classes"}`.

    Raises:
        ConfigError: one is negative.
    """
    criterion = cfg.MODEL.CRITERION
    weights = {
        "box": criterion.BOX_WEIGHT,
        "objectness": criterion.OBJECTNESS_WEIGHT,
        "classes": criterion.CLASS_WEIGHT,
    }
    keys = ("BOX_WEIGHT", "OBJECTNESS_WEIGHT", "CLASS_WEIGHT")
    for key, weight in zip(keys, weights.values(), strict=True):
        expect(weight >= 0, f"MODEL.CRITERION.{key}", "a number >= 0", weight)
    return weights


def _check_kind(loss: ElementwiseLoss, name: str, part: str) -> None:
    """Refuse losses of boxes for classes and the other way round, by what they give."""
    two_boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2, device="cpu")
    wanted = (2,) if part == "box_loss" else (2, 4)
    if tuple(loss(two_boxes, two_boxes).shape) != wanted:
        things = {(2,): "boxes, one number a box", (2, 4): "logits, one number each"}
        raise ConfigError(
            f"MODEL.CRITERION.{part.upper()}: expected a loss of {things[wanted]}, got '{name}', "
            "which is of another kind"
        )
