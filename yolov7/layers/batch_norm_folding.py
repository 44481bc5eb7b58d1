"""Batch normalisation into the convolutions before it, in networks whose code is not ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from yolov7.layers.conv import folded_weights
from yolov7.layers.frozen_batch_norm import FrozenBatchNorm2d
from yolov7.layers.sole_receivers import sole_receivers

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, FrozenBatchNorm2d)


@torch.no_grad()
def fold_batch_norms(
    model: nn.Module, example: Any, *, convolutions: Sequence[type[nn.Conv2d]] = (nn.Conv2d,)
) -> nn.Module:
    """Fold 2d batch normalisations of a model in eval mode into convolutions, in place.

    One forward pass shows which normalisation alone receives the output of which convolution; see
    `sole_receivers`. What has no such partner stays. An activation within a normalisation layer
    stays in its place.

    Args:
        model: called as `model(example)`.
        example: an input on the model's device; its values do not matter.
        convolutions: classes that compute from `weight` and `bias` as they are. Subclasses of them
            are left alone: weight-standardised ones would change folded weights once more.

    Returns:
        The model.
    """
    parents = {
        child: (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
    }
    pairs = sole_receivers(
        model,
        lambda model: model(example),
        senders=lambda module: type(module) in convolutions,
        receivers=lambda module: isinstance(module, _NORMS),
    )
    for conv, norm in pairs:
        if norm.running_var is None or norm.weight is None:
            continue
        weight, bias = folded_weights(conv, norm)
        conv.weight = nn.Parameter(weight, conv.weight.requires_grad)
        conv.bias = nn.Parameter(bias, conv.weight.requires_grad)
        parent, name = parents[norm]
        setattr(parent, name, getattr(norm, "act", nn.Identity()))
    return model
