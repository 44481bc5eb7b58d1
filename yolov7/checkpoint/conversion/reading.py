"""What converters read of a foreign checkpoint before they rename it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from yolov7.checkpoint.checkpointer import load_checkpoint
from yolov7.checkpoint.conversion.renaming import Shapes
from yolov7.utils.errors import WeightsError


def model_entries(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    project: str,
    safe_types: Sequence[Any] = (),
) -> Mapping[str, Tensor]:
    """The entries of a checkpoint's model.

    Args:
        source: a file, what it holds (a dict with 'model'), or a bare state dict.
        project: whose checkpoint it should be, for the error message.
        safe_types: what a file may hold beside tensors and plain containers.

    Raises:
        WeightsError: the file is damaged or unsafe, or it holds something else.
    """
    if not isinstance(source, Mapping):
        with torch.serialization.safe_globals(list(safe_types)):
            source = load_checkpoint(source)
    state = source["model"] if isinstance(source.get("model"), Mapping) else source
    foreign = [
        name
        for name, value in state.items()
        if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if foreign or not state:
        raise WeightsError(
            f"expected {project}'s checkpoint, a dict with 'model', or a bare state dict; "
            f"got one with {', '.join(map(str, foreign[:5])) or 'nothing in it'}"
        )
    return state


def count_numbers(pattern: str, shapes: Shapes) -> int:
    """How many different numbers the one group of a pattern has in names that it fully matches."""
    return len({match[1] for match in (re.fullmatch(pattern, name) for name in shapes) if match})


def describe_resnet(shapes: Shapes) -> str:
    """Say how many blocks the stages of a backbone with torchvision's or our names have."""
    stages = [
        count_numbers(rf"backbone\.(?:body\.layer{level}|res{level + 1})\.(\d+)\..*", shapes)
        for level in range(1, 5)
    ]
    return f"a ResNet of {'-'.join(map(str, stages))} blocks" if any(stages) else "no ResNet"
