"""Every key of ours is read by something, and every key called honoured is."""

from __future__ import annotations

import ast
from pathlib import Path

import yolov7
from yolov7.config import get_config
from yolov7.config.honoured import HONOURED, leaves
from yolov7.d2 import get_cfg

PACKAGE = Path(yolov7.__file__).parent


def chain(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """The dotted config name that an attribute expression reads, e.g. `MODEL.YOLO.CLASSES`."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    root = "" if node.id == "cfg" else aliases.get(node.id)
    return None if root is None else ".".join([*([root] if root else []), *reversed(names)])


def keys_read(source: str) -> set[str]:
    """Dotted names read from `cfg` in a module, through local names of sections too."""
    read: set[str] = set()
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            continue
        aliases: dict[str, str] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                pairs = [(node.targets[0], node.value)]
                if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(node.targets[0].elts, node.value.elts, strict=False))
                for target, value in pairs:
                    name = chain(value, aliases)
                    if isinstance(target, ast.Name) and name:
                        aliases[target.id] = name
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and (name := chain(node, aliases)):
                read.add(name)
    return read


def all_keys_read() -> set[str]:
    read: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        if file.relative_to(PACKAGE).parts[0] != "config":
            read |= keys_read(file.read_text(encoding="utf-8"))
    return read


def test_reading_is_recognised_through_local_names() -> None:
    source = "def f(cls, cfg):\n    a, b = cfg.A.B, 2\n    return a.C, cfg.D\n"
    assert {"A.B.C", "D"} <= keys_read(source)


def test_every_key_of_ours_is_read() -> None:
    detectron2 = {name for name, _ in leaves(get_cfg())}
    ours = {name for name, _ in leaves(get_config())} - detectron2
    unread = ours - all_keys_read()
    assert not unread, f"keys that nothing reads: {sorted(unread)}"


def test_every_detectron2_key_called_honoured_is_read() -> None:
    through_the_seam = {"VERSION", "MODEL.BACKBONE.NAME", "MODEL.META_ARCHITECTURE"}
    unread = HONOURED - all_keys_read() - through_the_seam
    assert not unread, f"called honoured, but nothing reads: {sorted(unread)}"


def test_every_detectron2_key_that_is_read_is_called_honoured() -> None:
    detectron2 = {name for name, _ in leaves(get_cfg())}
    forgotten = (all_keys_read() & detectron2) - HONOURED
    assert not forgotten, f"read, but not called honoured: {sorted(forgotten)}"
