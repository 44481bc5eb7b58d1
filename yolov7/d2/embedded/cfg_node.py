"""`CfgNode`: YACS config with `_BASE_` inheritance, for configs of version 2."""

from __future__ import annotations

import logging
from typing import IO, Any

from fvcore.common.config import CfgNode as _CfgNode

from yolov7.d2.embedded.path_manager import PathManager
from yolov7.utils.errors import ConfigError

CONFIG_VERSION = 2

# Keys that existed only before version 2: a file that has one was written for an older detectron2.
_KEYS_OF_VERSION_1 = (("MODEL", "WEIGHT"), ("TEST", "AUG_ON"))

_logger = logging.getLogger(__name__)


class CfgNode(_CfgNode):
    """A tree of config values, read as attributes and changed only within their types.

    Unknown keys raise `KeyError` and values of another type `ValueError` when merging; a frozen
    node raises `AttributeError` on assignment. `COMPUTED_*` keys may be set once.
    """

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        return PathManager.open(filename, "r")

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = False) -> None:
        """Merge a yaml file, and first the files that its `_BASE_` names, into this config.

        Args:
            cfg_filename: path of the yaml file; `_BASE_` paths are relative to it.
            allow_unsafe: also accept yaml tags that build Python objects. That runs code from the
                file, hence off unless asked for.

        Raises:
            ConfigError: the file does not exist or is not a version 2 config.
            KeyError: a key that this config does not have.
            ValueError: a value of another type than the one it replaces.
        """
        if not PathManager.isfile(cfg_filename):
            raise ConfigError(f"Config file '{cfg_filename}' does not exist.")
        loaded = type(self)(self.load_yaml_with_base(cfg_filename, allow_unsafe=allow_unsafe) or {})
        if self.get("VERSION") != CONFIG_VERSION:
            raise ConfigError(
                f"'{cfg_filename}' can only be merged into a config of version {CONFIG_VERSION}, "
                f"this one has VERSION {self.get('VERSION')}. Start from get_cfg()."
            )
        _check_version(loaded, cfg_filename)
        self.merge_from_other_cfg(loaded)


def _check_version(loaded: CfgNode, filename: str) -> None:
    version: Any = loaded.get("VERSION")
    if version is None:
        old = [
            f"{section}.{key}"
            for section, key in _KEYS_OF_VERSION_1
            if isinstance(loaded.get(section), dict) and key in loaded[section]
        ]
        if not old:
            _logger.warning(
                "'%s' states no VERSION and is read as version %d. Add 'VERSION: %d' to it.",
                filename,
                CONFIG_VERSION,
                CONFIG_VERSION,
            )
            return
        version = f"1 (it has no VERSION key, but the old key {old[0]})"
    elif version == CONFIG_VERSION:
        return
    raise ConfigError(
        f"'{filename}': expected VERSION: {CONFIG_VERSION}, got {version}. Only detectron2 itself "
        f"can upgrade old configs: load the file there with merge_from_file and save cfg.dump()."
    )
