"""What a fresh training starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

from yolov7.checkpoint import load_weights
from yolov7.d2 import CfgNode, get_local_rank, synchronize


@runtime_checkable
class Initializable(Protocol):
    """A model or backbone that knows what it starts from, such as weights to download."""

    def initialize_weights(self) -> None:
        """Give itself the weights of a fresh training."""
        ...


def load_initial_weights(cfg: CfgNode, model: nn.Module) -> None:
    """Load `MODEL.WEIGHTS`, or without them the pretrained weights of the backbone.

    For fresh trainings alone: resumed ones, evaluation and prediction have all weights from a
    checkpoint. All ranks must call it; one of each machine downloads, the others wait for it.

    Raises:
        ConfigError, WeightsError: the weights are missing, damaged or another model's.
    """
    if cfg.MODEL.WEIGHTS:
        load_weights(model, cfg.MODEL.WEIGHTS)
        return
    for part in (model, getattr(model, "backbone", None)):
        if isinstance(part, Initializable):
            _one_rank_first(part.initialize_weights)


def _one_rank_first(initialize: Callable[[], None]) -> None:
    downloads = get_local_rank() == 0
    if downloads:
        initialize()
    synchronize()
    if not downloads:
        initialize()
