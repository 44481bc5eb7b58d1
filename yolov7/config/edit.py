"""Change one value of a YAML config and leave every other character as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from yolov7.utils.errors import ConfigError


def set_in_yaml(text: str, keys: Sequence[str], value: Any, *, source: str) -> str:
    """Set a value in a YAML text, keeping comments and layout.

    Args:
        text: the file's content, a mapping.
        keys: the way to the value, such as `["MODEL", "YOLO", "ANCHORS"]`; missing ones are added.
        value: plain numbers, strings, lists and mappings.
        source: named in errors, usually the file.

    Returns:
        The new text.

    Raises:
        ConfigError: the text is laid out so that the value cannot be set without touching others.
    """
    try:
        before = yaml.safe_load(text)
        changed = _replace(text, yaml.compose(text, yaml.SafeLoader), list(keys), value)
        after = yaml.safe_load(changed)
    except (yaml.YAMLError, _CannotEdit):
        after = None
    if after is None or after != _with_value(before, keys, value):
        raise ConfigError(
            f"{source}: cannot set {'.'.join(keys)} in a file of this layout. Set it by hand: "
            f"{'.'.join(keys)}: {_flow(value)}"
        )
    return changed


class _CannotEdit(Exception):
    pass


def _replace(text: str, node: yaml.Node | None, keys: list[str], value: Any) -> str:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise _CannotEdit
    child = next((child for key, child in node.value if key.value == keys[0]), None)
    if child is not None and len(keys) > 1:
        return _replace(text, child, keys[1:], value)
    if child is not None:
        return text[: child.start_mark.index] + _flow(value) + text[_end(child) :]
    snippet = _flow(value)
    for key in reversed(keys[1:]):
        snippet = f"{{{key}: {snippet}}}"
    end = _end(node)
    if node.flow_style:
        return f"{text[: end - 1].rstrip()}, {keys[0]}: {snippet}{text[end - 1 :]}"
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * node.value[0][0].start_mark.column
    return f"{text[:line_end]}\n{indent}{keys[0]}: {snippet}{text[line_end:]}"


def _end(node: yaml.Node) -> int:
    """Where a node's own text ends; a block's mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return node.end_mark.index
    last = node.value[-1]
    return _end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _with_value(tree: Any, keys: Sequence[str], value: Any) -> Any:
    if not keys:
        return value
    tree = tree if isinstance(tree, dict) else {}
    return {**tree, keys[0]: _with_value(tree.get(keys[0]), keys[1:], value)}


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").rstrip()
