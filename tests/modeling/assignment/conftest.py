"""What tests of several assigners share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Recorder(TorchDispatchMode):
    """Counts operations, those whose result's size depends on data, and the largest result."""

    DATA_DEPENDENT = ("nonzero", "masked_select", "_unique", "unique", "_local_scalar_dense")

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.data_dependent = 0
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        self.operations += 1
        self.data_dependent += name.startswith(self.DATA_DEPENDENT)
        if name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1]):
            self.data_dependent += 1
        for output in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(output, Tensor) and function.is_view is False:
                self.largest = max(self.largest, output.numel())
        return result


@pytest.fixture
def record() -> Callable[[Callable[[], object]], Recorder]:
    """Run a function and tell what it did."""

    def run(function: Callable[[], object]) -> Recorder:
        with Recorder() as recorder:
            function()
        return recorder

    return run
