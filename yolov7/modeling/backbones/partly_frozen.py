"""Backbones of which the first parts may stay as they are: `MODEL.BACKBONE.FREEZE_AT`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from torch import nn

from yolov7.d2 import Backbone
from yolov7.utils.errors import ConfigError


class PartlyFrozenBackbone(Backbone):
    """A backbone that `freeze` keeps parts of from training, their batch norms' averages too."""

    _frozen: tuple[str, ...] = ()

    def freeze(self, names: Iterable[str]) -> None:
        """Keep parts from training from now on.

        Args:
            names: of submodules.
        """
        self._frozen = tuple(names)
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen parts stay in eval mode, so that their batch norms keep still."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def refuse_frozen(self, name: str, *, remedy: str) -> None:
        """Make sure that no part would stay frozen at random weights.

        Args:
            name: the backbone's, for the error message.
            remedy: how to give it others.

        Raises:
            ConfigError: parts are frozen.
        """
        if self._frozen:
            raise ConfigError(
                f"MODEL.BACKBONE.FREEZE_AT: parts of {name} would stay frozen at random weights; "
                f"{remedy}, or FREEZE_AT 0 to train them"
            )

    def _frozen_modules(self) -> Iterator[nn.Module]:
        # By name: the modules themselves may be exchanged, for synchronised batch norms.
        return (self.get_submodule(name) for name in self._frozen)
