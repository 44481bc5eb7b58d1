"""Objects by dotted path, and the dotted path of an object."""

from __future__ import annotations

import builtins
import importlib
from typing import Any


def locate(name: str) -> Any:
    """Import the object with the given path, such as `torch.optim.SGD`.

    Raises:
        ImportError: nothing has that path.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        module_name = ".".join(parts[:count])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that exists but misses one of its own imports must say so.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            continue
        return _follow(found, parts[count:], name)
    return _follow(builtins, parts, name)


def _follow(found: Any, attributes: list[str], name: str) -> Any:
    for attribute in attributes:
        if not hasattr(found, attribute):
            raise ImportError(f"Cannot locate '{name}': {found!r} has no '{attribute}'.")
        found = getattr(found, attribute)
    return found


def dotted_path(obj: Any) -> str:
    """Return the shortest path from which `locate` gives the object.

    A public package often re-exports a class from a private module; the public path is preferred
    because it survives when the class moves.
    """
    packages = obj.__module__.split(".")
    for count in range(1, len(packages)):
        candidate = ".".join([*packages[:count], obj.__qualname__])
        try:
            if locate(candidate) is obj:
                return candidate
        except ImportError:
            continue
    return f"{obj.__module__}.{obj.__qualname__}"
