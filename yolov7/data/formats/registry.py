"""The table of data set formats that a config can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yolov7.data.formats.record import Record
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest


@dataclass(frozen=True)
class DatasetFormat:
    """How data sets of one format are named, loaded and evaluated.

    Attributes:
        name: its name in `DATASETS.REGISTER`, lower case.
        keys: the entry's keys besides NAME and FORMAT that are required.
        load: called as `load(*values of keys, *values of optional_keys, dataset_name=…,
            class_names=…)`; returns the records and sets `thing_classes` and
            `thing_dataset_id_to_contiguous_id` of the data set's metadata.
        metadata: called with the same values; the attributes to set at registration, among them
            `evaluator_type`. Raises `ConfigError` when the values do not go together.
        optional_keys: keys that an entry may leave out; their values are then None.
    """

    name: str
    keys: tuple[str, ...]
    load: Callable[..., list[Record]]
    metadata: Callable[..., dict[str, Any]]
    optional_keys: tuple[str, ...] = ()


_FORMATS: dict[str, DatasetFormat] = {}


def register_format(dataset_format: DatasetFormat) -> None:
    """Add a format to the table; a name can be taken only once."""
    if dataset_format.name in _FORMATS:
        raise ValueError(f"format '{dataset_format.name}' is registered already")
    _FORMATS[dataset_format.name] = dataset_format


def get_format(name: str) -> DatasetFormat:
    """Look a format up by its name in any case.

    Raises:
        ConfigError: there is no such format.
    """
    try:
        return _FORMATS[str(name).lower()]
    except KeyError:
        raise ConfigError(
            f"DATASETS.REGISTER: unknown FORMAT '{name}'.{suggest(str(name), _FORMATS)}"
        ) from None
