"""Which module alone receives what another one returns, in networks whose code is not ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from yolov7.utils.tensors import tensors_in

Kind = Callable[[nn.Module], bool]
"""Whether a module is of a kind."""


def sole_receivers(
    model: nn.Module, run: Callable[[nn.Module], Any], *, senders: Kind, receivers: Kind
) -> list[tuple[nn.Module, nn.Module]]:
    """Pairs of a sender and the receiver that alone gets the sender's output, as it is.

    One forward pass shows them. No pair are those of which either runs more than once, or between
    which something lies, and senders whose output goes to several places or is itself returned.

    Args:
        model: in eval mode.
        run: runs the model and gives its outputs; the values do not matter.
        senders: modules that return one tensor, a new one each time.
        receivers: modules that take one tensor; they may change it in place.
    """
    trace = _Trace()
    handles = []
    for module in model.modules():
        if senders(module):
            handles.append(module.register_forward_hook(trace.leave_sender))
        elif receivers(module):
            handles.append(module.register_forward_pre_hook(trace.enter_receiver))
            handles.append(module.register_forward_hook(trace.leave_receiver))
    try:
        with trace:
            outputs = run(model)
    finally:
        for handle in handles:
            handle.remove()
    return trace.pairs(outputs)


class _Trace(TorchFunctionMode):
    """Notes what happens to the outputs of senders during a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        # {identity: (tensor, its sender)}. The tensors are kept, or a later one could get the
        # identity of an earlier one.
        self._outputs: dict[int, tuple[Tensor, nn.Module]] = {}
        self._received: list[tuple[int | None, nn.Module]] = []
        self._other_uses: set[int] = set()
        # Outputs in whose place a receiver has written its own.
        self._replaced: set[int] = set()
        self._within_receiver = False

    def leave_sender(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        self._outputs[id(output)] = (output, module)

    def enter_receiver(self, module: nn.Module, args: tuple) -> None:
        identity = id(args[0])
        self._received.append((identity if self._is_output(identity) else None, module))
        self._within_receiver = True

    def leave_receiver(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        self._within_receiver = False
        if output is args[0]:
            self._replaced.add(id(output))

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        # What gives no tensor asks for a shape or a number format and does not use the values.
        if not self._within_receiver and _identities(result):
            self._other_uses |= set(filter(self._is_output, _identities((args, kwargs))))
        return result

    def pairs(self, outputs: Any) -> list[tuple[nn.Module, nn.Module]]:
        """Senders and the receivers that are the only ones to receive their outputs."""
        used = self._other_uses | set(filter(self._is_output, _identities(outputs)))
        runs = Counter(sender for _, sender in self._outputs.values())
        runs.update(receiver for _, receiver in self._received)
        receptions = Counter(identity for identity, _ in self._received)
        pairs = []
        for identity, receiver in self._received:
            if identity is None or identity in used or receptions[identity] > 1:
                continue
            sender = self._outputs[identity][1]
            if runs[sender] == runs[receiver] == 1:
                pairs.append((sender, receiver))
        return pairs

    def _is_output(self, identity: int) -> bool:
        return identity in self._outputs and identity not in self._replaced


def _identities(values: Any) -> set[int]:
    return {id(tensor) for tensor in tensors_in(values)}
