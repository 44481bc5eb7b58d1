"""What every converter does: rename entries by rules, and check that everything fitted."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from yolov7.utils.errors import WeightsError

logger = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]
"""Names of a model's state-dict entries and their shapes, in the model's order."""


def rename_by_rules(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    """Apply every rule (pattern, replacement), in their order, to a name."""
    for pattern, replacement in rules:
        name = pattern.sub(replacement, name)
    return name


def fit_to_shapes(
    state: Mapping[str, Tensor],
    shapes: Shapes,
    *,
    rename: Callable[[str], str],
    describe: Callable[[Shapes], str],
) -> dict[str, Tensor]:
    """Rename a foreign state dict and insist that it is exactly the model's.

    Args:
        state: the foreign entries.
        shapes: the model's entries.
        rename: foreign name to the model's name.
        describe: says in words which model entries of (renamed) names and shapes belong to.

    Returns:
        The tensors under the model's names, in the model's order; each foreign entry once.

    Raises:
        WeightsError: an entry is missing, left over, doubled or of another shape. The message
            names the first one and says what the file and the config describe.
    """
    origin: dict[str, str] = {}
    for name in state:
        renamed = rename(name)
        if renamed in origin:
            raise WeightsError(f"the entries {origin[renamed]} and {name} are the same: {renamed}")
        origin[renamed] = name
    problem = _first_problem(state, shapes, origin)
    if problem:
        found = describe({new: tuple(state[old].shape) for new, old in origin.items()})
        raise WeightsError(
            f"{problem}. The weights look like {found}; the config describes {describe(shapes)}. "
            "Use the config that fits the weights, or other weights"
        )
    return {name: state[origin[name]] for name in shapes}


def leave_out_what_differs(
    state: Mapping[str, Tensor], shapes: Shapes, *, optional: re.Pattern[str], reason: str
) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]]]:
    """Take out the optional entries that only one side has, or that differ in shape; says which.

    Args:
        state: weights under the model's names.
        shapes: the model's entries.
        optional: fully matches names that may differ.
        reason: what such a difference means, for the log.

    Returns:
        `state` and `shapes` without these entries; in the model they keep their start values.
    """
    found = {name: tuple(value.shape) for name, value in state.items()}
    differing = [
        name
        for name in dict.fromkeys([*shapes, *found])
        if optional.fullmatch(name) and found.get(name) != shapes.get(name)
    ]
    described = [
        f"{name} (file {_listed(found.get(name))}, model {_listed(shapes.get(name))})"
        for name in differing
    ]
    if described:
        logger.warning("Not converted, %s: %s", reason, ", ".join(described))
    return (
        {name: value for name, value in state.items() if name not in differing},
        {name: tuple(shape) for name, shape in shapes.items() if name not in differing},
    )


def _listed(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else str(list(shape))


def _first_problem(state: Mapping[str, Tensor], shapes: Shapes, origin: dict[str, str]) -> str:
    for name, shape in shapes.items():
        if name not in origin:
            return f"the weights have no entry for {name} {list(shape)}"
        found = tuple(state[origin[name]].shape)
        if found != tuple(shape):
            return f"{origin[name]} has the shape {list(found)}, expected {list(shape)} as {name}"
    for renamed, name in origin.items():
        if renamed not in shapes:
            return f"the model has no entry for {name} {list(state[name].shape)}"
    return ""
