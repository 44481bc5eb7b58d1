"""timm's pretrained weights, complete or not at all."""

from __future__ import annotations

import logging
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from yolov7.modeling.backbones.timm_models import create_features
from yolov7.utils.errors import WeightsError

logger = logging.getLogger(__name__)


def pretrained_state(name: str, *, weights: str = "", **arguments: Any) -> dict[str, Tensor]:
    """State dict of a model of timm with its pretrained weights.

    They come from timm's cache, where they are downloaded to if they are not there.

    Args:
        name: a model of timm; its tag chooses the weights.
        weights: a file to take them from instead, in any layout that timm reads for the model.
        arguments: others of `create_features`.

    Raises:
        WeightsError: there are none, they cannot be had, or they lack a part of the model.
    """
    import timm

    source = weights or f"timm's pretrained weights of {name}"
    if weights and not Path(weights).is_file():
        raise WeightsError(f"MODEL.TIMM.WEIGHTS: there is no file {weights}")
    if not weights and not timm.get_pretrained_cfg(name).has_weights:
        architecture = name.partition(".")[0]
        others = timm.list_pretrained(f"{architecture[:6]}*")[:12]
        raise WeightsError(
            f"MODEL.BACKBONE.PRETRAINED: timm has no pretrained weights of {name}. "
            f"Name a file in MODEL.TIMM.WEIGHTS, or take a model that has some: {', '.join(others)}"
        )
    logger.info("Loading %s.", source)
    try:
        state, other = (_build(name, seed, weights=weights, **arguments) for seed in (0, 1))
    # Whatever a download raises (errors of three libraries) has the same remedy.
    except Exception as error:
        remedy = (
            "Expected a file of this architecture, of tensors only (.pth or .safetensors)"
            if weights
            else "Without network: fetch the file elsewhere and name it in MODEL.TIMM.WEIGHTS, or "
            "start from random weights with MODEL.BACKBONE.PRETRAINED False"
        )
        reason = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
        raise WeightsError(
            f"{source} could not be loaded: {reason.rstrip('.')}. {remedy}."
        ) from error
    # For some families timm loads what fits and leaves the rest random without an error.
    missing = [entry for entry, value in state.items() if not value.equal(other[entry])]
    if missing:
        raise WeightsError(
            f"{source}: lacks {len(missing)} of the {len(state)} entries of {name}, which stayed "
            f"random: {', '.join(missing[:4])} …. Expected weights of the same model"
        )
    return state


def _build(name: str, seed: int, **arguments: Any) -> dict[str, Tensor]:
    # Only what was not loaded depends on the seed; the training's own numbers are left alone.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        return create_features(name, pretrained=True, **arguments).state_dict()
