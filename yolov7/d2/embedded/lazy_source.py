"""A config as Python-like source text, laid out like formatted code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolov7.d2.embedded.locate import dotted_path

_LINE_LENGTH = 88


def to_source(container: Any, prefix: str) -> str:
    """Return one assignment per leaf, sorted by name; calls are written as calls.

    Args:
        container: dicts, lists and values.
        prefix: written before each name, such as "cfg.".
    """
    if not isinstance(container, Mapping) or "_target_" in container:
        return _layout(container, indent=0, used=0) + "\n"
    return "".join(f"{line}\n" for line in _assignments(container, prefix))


def _assignments(mapping: Mapping, prefix: str) -> list[str]:
    lines = []
    for name, value in sorted(mapping.items()):
        if isinstance(value, Mapping) and "_target_" not in value:
            lines += _assignments(value, f"{prefix}{name}.")
        else:
            label = f"{prefix}{name} = "
            lines.append(label + _layout(value, indent=0, used=len(label)))
    return lines


def _layout(value: Any, *, indent: int, used: int) -> str:
    """The value on one line where `used` leaves room for it and a comma, else an item a line."""
    opening, items, closing = _pieces(value)
    flat = opening + ", ".join(label + _layout_flat(item) for label, item in items) + closing
    if not items or used + len(flat) < _LINE_LENGTH:
        return flat
    margin = " " * (indent + 4)
    lines = [
        f"{margin}{label}{_layout(item, indent=indent + 4, used=len(margin) + len(label))},\n"
        for label, item in items
    ]
    return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"


def _layout_flat(value: Any) -> str:
    opening, items, closing = _pieces(value)
    return opening + ", ".join(label + _layout_flat(item) for label, item in items) + closing


def _pieces(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Opening bracket, (label, item) of each item, closing bracket."""
    if isinstance(value, Mapping) and "_target_" in value:
        target = value["_target_"]
        called = target if isinstance(target, str) else dotted_path(target)
        arguments = sorted((k, v) for k, v in value.items() if k != "_target_")
        return f"{called}(", [(f"{key}=", item) for key, item in arguments], ")"
    if isinstance(value, Mapping):
        return "{", [(f"{_literal(key)}: ", item) for key, item in sorted(value.items())], "}"
    if isinstance(value, (list, tuple)):
        return "[", [("", item) for item in value], "]"
    return _literal(value), [], ""


def _literal(value: Any) -> str:
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        return f'"{text[1:-1]}"'
    return text
