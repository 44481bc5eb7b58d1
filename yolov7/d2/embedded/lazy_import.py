"""Running Python config files whose relative imports go by files."""

from __future__ import annotations

import builtins
import os
from types import ModuleType
from typing import Any

from omegaconf import DictConfig

from yolov7.d2.embedded.path_manager import PathManager


def as_config(value: Any) -> Any:
    """Return a dict as an editable `DictConfig`, anything else as it is."""
    if isinstance(value, dict):
        return DictConfig(value, flags={"allow_objects": True})
    return value


def run_config_file(filename: str) -> dict[str, Any]:
    """Execute a config file and return its namespace.

    `from .other import x` in it reads the file `other.py` beside it: no package is needed, and it
    is executed anew each time, so that changes to what was imported stay inside the importer.
    Dicts that are imported so arrive as `DictConfig`.
    """

    def import_(
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        if level == 0:
            return builtins.__import__(name, globals, locals, fromlist, level)
        return _import_file(_find_file(filename, name, level))

    # A namespace may bring its own builtins, so the import of the rest of the program is untouched.
    namespace: dict[str, Any] = {
        "__builtins__": {**vars(builtins), "__import__": import_},
        "__file__": filename,
        "__name__": "lazy_config",
    }
    with PathManager.open(filename) as file:
        source = file.read()
    # Compiling under the file's name gives good stack traces, and lets load_rel find its caller.
    exec(compile(source, filename, "exec"), namespace)
    return namespace


def _find_file(importer: str, name: str, level: int) -> str:
    folder = os.path.dirname(importer)
    for _ in range(level - 1):
        folder = os.path.dirname(folder)
    path = os.path.join(folder, *name.split("."))
    if PathManager.isfile(f"{path}.py"):
        return f"{path}.py"
    if not name or PathManager.isdir(path):
        raise ImportError(
            f"'{importer}': a relative import in a config must name a file, '{path}' is a folder."
        )
    raise ImportError(f"'{importer}' imports '{path}.py', which does not exist.")


def _import_file(filename: str) -> ModuleType:
    module = ModuleType(os.path.splitext(os.path.basename(filename))[0])
    for name, value in run_config_file(filename).items():
        # Only what a config defines itself may become a config, not the interpreter's names.
        setattr(module, name, value if name.startswith("__") else as_config(value))
    return module
