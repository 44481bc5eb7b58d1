"""`LazyCall` and `LazyConfig`: configs that are Python files describing calls."""

from __future__ import annotations

import ast
import copy
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf, SCMode

from yolov7.d2.embedded.lazy_import import as_config, run_config_file
from yolov7.d2.embedded.lazy_source import to_source
from yolov7.d2.embedded.locate import dotted_path
from yolov7.d2.embedded.path_manager import PathManager
from yolov7.utils.errors import ConfigError

_logger = logging.getLogger(__name__)


class LazyCall:
    """Describes a call instead of making it: `LazyCall(nn.Conv2d)(in_channels=3, ...)`.

    The description is a `DictConfig` that can be edited; `instantiate` makes the call.
    """

    def __init__(self, target: Callable | str | Mapping):
        """Take what will be called: a callable, its path, or another description."""
        if not (callable(target) or isinstance(target, (str, Mapping))):
            raise TypeError(f"Expected something that can be called, got {target!r}.")
        # omegaconf takes a dataclass for the schema of a config, so it is kept by its path.
        self._target = dotted_path(target) if dataclasses.is_dataclass(target) else target

    def __call__(self, **kwargs: Any) -> DictConfig:
        """Describe the call with these arguments."""
        return DictConfig({**kwargs, "_target_": self._target}, flags={"allow_objects": True})


class LazyConfig:
    """Loading, saving and changing such configs. A `.py` file is a program: load only your own."""

    @staticmethod
    def load(filename: str, keys: str | Sequence[str] | None = None) -> Any:
        """Load a config from a `.py` or `.yaml` file.

        Relative imports in a `.py` file go by files, not packages, and load anew each time: no
        config can change another. Yaml is read by the safe loader.

        Args:
            keys: a name, or several, to be returned as value or tuple. Without them, all configs
                in the file are returned as one.

        Raises:
            ConfigError: another kind of file, or yaml with tags that build Python objects.
        """
        suffix = os.path.splitext(filename)[1]
        if suffix == ".py":
            content: Any = run_config_file(filename)
        elif suffix in (".yaml", ".yml"):
            content = _load_yaml(filename)
        else:
            raise ConfigError(f"Config file '{filename}' must end in .py, .yaml or .yml.")
        if isinstance(keys, str):
            return as_config(content[keys])
        if keys is not None:
            return tuple(as_config(content[key]) for key in keys)
        if suffix != ".py":
            return content
        configs = {
            name: as_config(value)
            for name, value in content.items()
            if isinstance(value, (dict, DictConfig, ListConfig)) and not name.startswith("_")
        }
        return DictConfig(configs, flags={"allow_objects": True})

    @staticmethod
    def load_rel(filename: str, keys: str | Sequence[str] | None = None) -> Any:
        """Like `load`, with the path relative to the file of the caller."""
        caller = sys._getframe(1).f_code.co_filename
        assert not caller.startswith("<"), "load_rel needs a caller that is in a file."
        return LazyConfig.load(os.path.join(os.path.dirname(caller), filename), keys)

    @staticmethod
    def save(cfg: Any, filename: str) -> None:
        """Write a config as yaml that `load` reads again.

        Where it holds objects that safe yaml cannot express, such as functions, the file is only
        for reading, and a pickle is put beside it (`.pkl`, needs cloudpickle).
        """
        container = _as_plain(cfg)
        try:
            text = yaml.safe_dump(container, default_flow_style=None, allow_unicode=True, width=999)
        except yaml.YAMLError:
            text = yaml.dump(container, default_flow_style=None, allow_unicode=True, width=999)
            _logger.warning("'%s' holds Python objects: it can be read, not loaded.", filename)
            _save_pickle(cfg, f"{filename}.pkl")
        with PathManager.open(filename, "w") as file:
            file.write(text)

    @staticmethod
    def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """Change a config by strings `key.sub=value`; values are Python literals, else strings.

        Raises:
            ConfigError: a string without "=".
            KeyError: a key below something that is not a config.
        """
        for override in overrides:
            key, equals, text = override.partition("=")
            if not equals:
                raise ConfigError(f"Override '{override}': expected the form key=value.")
            _check_parents(cfg, key)
            OmegaConf.update(cfg, key, _parse_value(text), merge=True)
        return cfg

    @staticmethod
    def to_py(cfg: Any, prefix: str = "cfg.") -> str:
        """Show a config as Python-like source, sorted by name; for people, not to be run."""
        return to_source(OmegaConf.to_container(cfg, resolve=True), prefix)


def _load_yaml(filename: str) -> DictConfig:
    with PathManager.open(filename) as file:
        try:
            content = yaml.safe_load(file)
        except yaml.constructor.ConstructorError as error:
            raise ConfigError(
                f"'{filename}' builds Python objects, which yaml files may not do here "
                f"({error.problem}). Load the .py config it was saved from."
            ) from error
    return OmegaConf.create(content, flags={"allow_objects": True})


def _as_plain(cfg: Any) -> Any:
    """Dicts, lists and values; callables under `_target_` and dataclasses become their paths."""
    container = OmegaConf.to_container(
        cfg, resolve=False, structured_config_mode=SCMode.INSTANTIATE
    )
    return _with_paths(container)


def _with_paths(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        value = {"_target_": type(value), **fields}
    if isinstance(value, dict):
        value = {key: _with_paths(item) for key, item in value.items()}
        target = value.get("_target_")
        if callable(target) and hasattr(target, "__qualname__"):
            value["_target_"] = dotted_path(target)
        return value
    if isinstance(value, (list, tuple)):
        return [_with_paths(item) for item in value]
    return value


def _save_pickle(cfg: Any, filename: str) -> None:
    try:
        import cloudpickle
    except ImportError:
        _logger.warning("The config was not pickled: cloudpickle is not installed.")
        return
    with PathManager.open(filename, "wb") as file:
        cloudpickle.dump(copy.copy(cfg), file)


def _check_parents(cfg: DictConfig, key: str) -> None:
    parts = key.split(".")
    for count in range(1, len(parts)):
        parent = ".".join(parts[:count])
        value = OmegaConf.select(cfg, parent, default=None)
        if value is None:
            return
        if not OmegaConf.is_config(value):
            raise KeyError(f"Cannot set '{key}': '{parent}' is {value!r}, not a config.")


def _parse_value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
