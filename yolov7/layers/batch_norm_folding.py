"""Batch normalisation into the convolutions before it, in networks whose code is not ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from yolov7.layers.conv import folded_weights
from yolov7.layers.frozen_batch_norm import FrozenBatchNorm2d

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, FrozenBatchNorm2d)


@torch.no_grad()
def fold_batch_norms(
    model: nn.Module, example: Any, *, convolutions: Sequence[type[nn.Conv2d]] = (nn.Conv2d,)
) -> nn.Module:
    """Fold 2d batch normalisations of a model in eval mode into convolutions, in place.

    One forward pass shows which normalisation alone receives the output of which convolution. What
    has no such partner stays: where the output goes to several places or is itself returned, where
    either runs more than once, or where something lies between. An activation within a
    normalisation layer stays in its place.

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
    for conv, norm in _pairs(model, example, convolutions):
        weight, bias = folded_weights(conv, norm)
        conv.weight = nn.Parameter(weight, conv.weight.requires_grad)
        conv.bias = nn.Parameter(bias, conv.weight.requires_grad)
        parent, name = parents[norm]
        setattr(parent, name, getattr(norm, "act", nn.Identity()))
    return model


def _pairs(
    model: nn.Module, example: Any, convolutions: Sequence[type[nn.Conv2d]]
) -> list[tuple[nn.Conv2d, nn.Module]]:
    trace = _Trace()
    handles = []
    for module in model.modules():
        if type(module) in convolutions:
            handles.append(module.register_forward_hook(trace.leave_conv))
        elif isinstance(module, _NORMS):
            handles.append(module.register_forward_pre_hook(trace.enter_norm))
            handles.append(module.register_forward_hook(trace.leave_norm))
    try:
        with trace:
            outputs = model(example)
    finally:
        for handle in handles:
            handle.remove()
    return trace.pairs(outputs)


class _Trace(TorchFunctionMode):
    """Notes what happens to the outputs of convolutions during a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        # {identity: (tensor, its convolution)}. The tensors are kept, or a later one could get the
        # identity of an earlier one.
        self._outputs: dict[int, tuple[Tensor, nn.Conv2d]] = {}
        self._received: list[tuple[int | None, nn.Module]] = []
        self._other_uses: set[int] = set()
        self._within_norm = False

    def leave_conv(self, module: nn.Conv2d, args: tuple, output: Tensor) -> None:
        self._outputs[id(output)] = (output, module)

    def enter_norm(self, module: nn.Module, args: tuple) -> None:
        identity = id(args[0])
        self._received.append((identity if identity in self._outputs else None, module))
        self._within_norm = True

    def leave_norm(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        self._within_norm = False

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        # What gives no tensor asks for a shape or a number format and does not use the values.
        if not self._within_norm and _identities(result):
            self._other_uses |= _identities((args, kwargs)) & self._outputs.keys()
        return result

    def pairs(self, outputs: Any) -> list[tuple[nn.Conv2d, nn.Module]]:
        """Convolutions and the norms that are the only ones to receive their outputs."""
        used = self._other_uses | _identities(outputs)
        runs = Counter(conv for _, conv in self._outputs.values())
        runs.update(norm for _, norm in self._received)
        receivers = Counter(identity for identity, _ in self._received)
        pairs = []
        for identity, norm in self._received:
            if identity is None or identity in used or receivers[identity] > 1:
                continue
            conv = self._outputs[identity][1]
            has_constants = norm.running_var is not None and norm.weight is not None
            if runs[conv] == runs[norm] == 1 and has_constants:
                pairs.append((conv, norm))
        return pairs


def _identities(values: Any) -> set[int]:
    """Identities of the tensors in nested containers."""
    if isinstance(values, Tensor):
        return {id(values)}
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return {identity for value in values for identity in _identities(value)}
    return set()
