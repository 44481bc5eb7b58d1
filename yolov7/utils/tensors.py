"""Tensors in nested containers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from torch import Tensor


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Every tensor in nested dataclasses, dicts, lists and tuples, in their order.

    Args:
        values: a tensor or container; anything else has none.
    """
    if isinstance(values, Tensor):
        yield values
        return
    if dataclasses.is_dataclass(values):
        values = [getattr(values, field.name) for field in dataclasses.fields(values)]
    elif isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
