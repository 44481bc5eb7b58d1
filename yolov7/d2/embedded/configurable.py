"""`@configurable`: constructors with explicit arguments that can also be called with a config."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fvcore.common.config import CfgNode as _CfgNode
from omegaconf import DictConfig

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def configurable(
    init_func: Callable | None = None, *, from_config: Callable | None = None
) -> Callable:
    """Let a constructor, or a function, take a config in place of its arguments.

    On `__init__`, the class must have a classmethod `from_config(cls, cfg, ...)` that returns the
    arguments as a dict; a subclass's `from_config` wins. On another function, give `from_config=`.
    The config is the first positional argument or the keyword `cfg`. Keywords that `from_config`
    declares go to it; the remaining ones override what it returned.

    Raises:
        AttributeError: the class has no `from_config`.
        TypeError: `from_config` is no classmethod, or its first parameter is not called `cfg`.
    """
    if init_func is not None:
        if (
            from_config is not None
            or not inspect.isfunction(init_func)
            or init_func.__name__ != "__init__"
        ):
            raise AssertionError(
                "Write @configurable over __init__, or @configurable(from_config=f) over a "
                f"function; got {init_func!r}."
            )
        return _configurable_init(init_func)
    if from_config is None:
        return configurable
    if not inspect.isfunction(from_config):
        raise AssertionError(f"from_config must be a function, got {from_config!r}.")
    return functools.partial(_configurable_function, from_config=from_config)


def _configurable_init(init: Callable) -> Callable:
    @functools.wraps(init)
    def init_or_from_config(self: Any, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        translate = getattr(cls, "from_config", None)
        if translate is None:
            raise AttributeError(
                f"{cls.__name__} has a @configurable __init__ but no classmethod 'from_config'."
            )
        if not inspect.ismethod(translate):
            raise TypeError(f"{cls.__name__}.from_config must be a classmethod.")
        if _has_config(args, kwargs):
            args, kwargs = (), _arguments_from_config(translate, args, kwargs)
        init(self, *args, **kwargs)

    return init_or_from_config


def _configurable_function(function: Callable, *, from_config: Callable) -> Callable:
    @functools.wraps(function)
    def call_or_from_config(*args: Any, **kwargs: Any) -> Any:
        if _has_config(args, kwargs):
            args, kwargs = (), _arguments_from_config(from_config, args, kwargs)
        return function(*args, **kwargs)

    call_or_from_config.from_config = from_config
    return call_or_from_config


def _has_config(args: tuple, kwargs: dict[str, Any]) -> bool:
    candidates = (*args[:1], kwargs.get("cfg"))
    return any(isinstance(candidate, (_CfgNode, DictConfig)) for candidate in candidates)


def _arguments_from_config(
    translate: Callable, args: tuple, kwargs: dict[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(translate).parameters
    if next(iter(parameters), None) != "cfg":
        raise TypeError(f"The first parameter of {translate.__qualname__} must be called 'cfg'.")
    if any(parameter.kind in _VARIABLE for parameter in parameters.values()):
        return translate(*args, **kwargs)
    declared = {name: value for name, value in kwargs.items() if name in parameters}
    overrides = {name: value for name, value in kwargs.items() if name not in parameters}
    return {**translate(*args, **declared), **overrides}
