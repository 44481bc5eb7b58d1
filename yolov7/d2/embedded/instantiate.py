"""`instantiate`: from a description of calls to the objects they build."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from yolov7.d2.embedded.locate import locate

_logger = logging.getLogger(__name__)


def instantiate(cfg: Any) -> Any:
    """Call what `_target_` of a mapping names, with its other values as arguments, inside out.

    Lists are gone through element by element: a plain one stays plain, a `ListConfig` stays one.
    A config that stands for a dataclass becomes that dataclass. Anything else is returned as it is.

    Raises:
        ImportError: the target does not exist.
        AssertionError: the target cannot be called.
    """
    if isinstance(cfg, ListConfig):
        return ListConfig([instantiate(item) for item in cfg], flags={"allow_objects": True})
    if isinstance(cfg, list):
        return [instantiate(item) for item in cfg]
    if isinstance(cfg, DictConfig) and is_dataclass(OmegaConf.get_type(cfg)):
        return OmegaConf.to_object(cfg)
    if not isinstance(cfg, Mapping) or "_target_" not in cfg:
        return cfg
    arguments = {name: instantiate(value) for name, value in cfg.items()}
    target = arguments.pop("_target_")
    if isinstance(target, str):
        target = locate(target)
    assert callable(target), f"_target_ {target!r} cannot be called."
    try:
        return target(**arguments)
    except TypeError:
        name = getattr(target, "__qualname__", repr(target))
        _logger.error("Calling %s failed; its arguments were %s.", name, sorted(arguments))
        raise
