"""LazyConfig files: configs that are Python programs."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from yolov7.config.find import find_config, suggest_config
from yolov7.d2 import LazyConfig
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest


def is_lazy_config(path: str | Path) -> bool:
    """Whether a config file, given by path or name, is a LazyConfig."""
    return find_config(path).suffix == ".py"


def load_lazy_config(path: str | Path, overrides: Sequence[str] = ()) -> Any:
    """Run a LazyConfig file and return what it describes.

    **The file is a program and may do anything: run only files that you trust.**

    Args:
        path: a `.py` file, or its name as for `load_config`.
        overrides: `key=value`, such as `train.device=cpu`. The key must be there already, unless
            it is a further argument of a described call.

    Returns:
        a `DictConfig` with the file's dictionaries and descriptions of calls.

    Raises:
        ConfigError: the file is missing or fails, or an override is wrong.
    """
    file = find_config(path)
    if not file.is_file():
        raise ConfigError(f"Config file {file} does not exist.{suggest_config(file)}")
    try:
        cfg = LazyConfig.load(str(file))
    except Exception as error:  # the file is somebody's program
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)
        ]
        place = f"{file}, line {lines[-1]}" if lines else str(file)
        raise ConfigError(f"{place}: {type(error).__name__}: {error}") from error
    for override in overrides:
        _check(cfg, override, file)
    return LazyConfig.apply_overrides(cfg, list(overrides))


def _check(cfg: Any, override: str, file: Path) -> None:
    key, equals, _ = override.partition("=")
    if not equals:
        raise ConfigError(f"{file} is a LazyConfig: changes are KEY=VALUE, got '{override}'.")
    *parents, last = key.split(".")
    found = cfg
    for name in [*parents, last]:
        if not OmegaConf.is_dict(found):
            raise ConfigError(f"{file}: '{key}': what is before '{name}' has no keys.")
        if name not in found and not (name == last and "_target_" in found):
            raise ConfigError(f"{file}: '{key}': there is no '{name}'.{suggest(name, found)}")
        found = found.get(name)
