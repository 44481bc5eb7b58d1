"""Start values of transformers."""

from __future__ import annotations

from torch import nn


def initialize_xavier(module: nn.Module) -> None:
    """Draw every matrix of a module anew, uniformly by Glorot's rule; DETR starts so."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
