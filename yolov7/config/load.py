"""The one door through which config files come in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from yolov7.config.defaults import get_config
from yolov7.config.find import find_config, suggest_config
from yolov7.config.honoured import leaves
from yolov7.d2 import CfgNode
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import closest
from yolov7.utils.safe_yaml import load_yaml

_BASE_KEY = "_BASE_"
_VERSION = 2


def load_config(
    path: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    *,
    cfg: CfgNode | None = None,
) -> CfgNode:
    """Read a YAML config with its bases, then apply overrides of the command line.

    Files are read by the safe YAML loader: nothing in them is executed. A file may name one base
    or a list of bases under `_BASE_`, relative to itself or by name (`find_config`); later ones
    win, the file itself last.

    Args:
        path: the file, or the name of one of the framework's own, such as `digits/yolox_nano`;
            None for the defaults alone.
        overrides: `KEY VALUE KEY VALUE …`, as after the flags of `train_net.py`.
        cfg: a config with more keys than ours (a project's own sections) to start from; it is
            not changed.

    Returns:
        A new, unfrozen config.

    Raises:
        ConfigError: a file or base is missing or malformed, a key is unknown or twice in a file,
            a value has the wrong type. The message names file, key, expected and found.
    """
    cfg = get_config() if cfg is None else cfg.clone()
    cfg.defrost()
    if path is not None:
        for file, content in _files_base_first(find_config(Path(path)), ()):
            _merge(cfg, content, source=str(file))
    for key, value in _pairs(overrides):
        _merge(cfg, _nested(key, value), source="command line")
    return cfg


def _files_base_first(path: Path, children: tuple[Path, ...]) -> Iterator[tuple[Path, dict]]:
    """Yield (file, content without `_BASE_`), every base before the file that names it."""
    if path.resolve() in (child.resolve() for child in children):
        chain = " -> ".join(str(file) for file in (*children, path))
        raise ConfigError(f"{path}: the config is its own base: {chain}. Remove one _BASE_.")
    content = _read(path, children)
    bases = content.pop(_BASE_KEY, [])
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise ConfigError(
                f"{path}: {_BASE_KEY} must be a path or a list of paths, got {base!r}."
            )
        yield from _files_base_first(find_config(base, folder=path.parent), (*children, path))
    version = content.get("VERSION", _VERSION)
    if version != _VERSION:
        raise ConfigError(
            f"{path}: VERSION must be {_VERSION}, got {version!r}. Configs of older versions have "
            f"other keys; rewrite them for VERSION {_VERSION}."
        )
    yield path, content


def _read(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    named = f" (named under {_BASE_KEY} in {children[-1]})" if children else ""
    if path.exists() and path.suffix == ".py":
        raise ConfigError(
            f"{path}{named} is a LazyConfig, a program that describes a model. Of the scripts here "
            "only demo.py takes one; the others need a .yaml file."
        )
    if path.exists() and path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path}{named}: expected a .yaml file.")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"Config file {path}{named} does not exist.{suggest_config(path)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Config file {path}{named} cannot be read: {error}.") from error
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected keys and values at the top, got a {type(content).__name__}."
        )
    return content


def _pairs(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(overrides) % 2:
        raise ConfigError(
            f"Overrides on the command line are pairs KEY VALUE, got an odd number: "
            f"{' '.join(map(str, overrides))}."
        )
    yield from zip(overrides[::2], overrides[1::2], strict=True)


def _nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def _merge(cfg: CfgNode, content: dict[str, Any], *, source: str, section: str = "") -> None:
    """Set the leaves of `content` in `cfg`; `section` is the dotted name of `cfg` itself."""
    for key, value in content.items():
        name = f"{section}.{key}" if section else str(key)
        if key not in cfg:
            raise ConfigError(
                f"{source}: unknown key {name}.{_suggest_key(cfg, section, str(key))}"
            )
        if isinstance(cfg[key], CfgNode):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{source}: {name} is a section with the keys {', '.join(cfg[key])}; "
                    f"got the value {value!r}."
                )
            _merge(cfg[key], value, source=source, section=name)
        else:
            cfg[key] = _checked(value, cfg[key], name=name, source=source)


def _suggest_key(cfg: CfgNode, section: str, key: str) -> str:
    """Look for the key that was meant: in the same section first, then by name anywhere."""
    near = closest(key, map(str, cfg))
    if near:
        return f" Did you mean {section}.{near}?" if section else f" Did you mean {near}?"
    elsewhere = [name for name, _ in leaves(get_config()) if name.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f" Did you mean {' or '.join(elsewhere)}?"
    return f" {section or 'The config'} has the keys {', '.join(map(str, cfg))}."


def _checked(value: Any, old: Any, *, name: str, source: str) -> Any:
    """Return `value` as the type of `old`: what YACS accepts, and whole numbers for real ones."""
    value = CfgNode._decode_cfg_value(value)
    if value is None or old is None or type(value) is type(old):
        return value
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if isinstance(old, (list, tuple)) and isinstance(value, (list, tuple)):
        return type(old)(value)
    raise ConfigError(
        f"{source}: {name} must be of type {type(old).__name__} (its value so far: {old!r}), "
        f"got {value!r} of type {type(value).__name__}."
    )
