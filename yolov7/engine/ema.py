"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn


class ModelEMA:
    """A copy of a model whose weights follow the model's as a moving average.

    All floating entries of the state dict are averaged, statistics of batch norm too; others are
    copied. The decay rises with the number of updates u as `decay * (1 - exp(-u / tau))`, so that
    the random weights of the start are forgotten quickly.

    Args:
        model: the model that is trained, on its device and not wrapped for distributed training;
            it must not be moved or converted afterwards.
        decay: the decay after many updates.
        tau: number of updates after which the decay has risen to 63 %.
    """

    def __init__(self, model: nn.Module, *, decay: float, tau: float):
        self.decay = decay
        self.tau = tau
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        pairs = list(zip(_entries(self.model), _entries(model), strict=True))
        averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        copied = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._averages, self._sources = [a for a, _ in averaged], [m for _, m in averaged]
        self._copies, self._originals = [c for c, _ in copied], [m for _, m in copied]

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages one step towards the model's present weights."""
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.tau))
        torch._foreach_lerp_(self._averages, self._sources, 1 - decay)
        if self._copies:
            torch._foreach_copy_(self._copies, self._originals)

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


def _entries(model: nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())
