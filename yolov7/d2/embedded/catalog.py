"""Catalogs of datasets: how to load them, and what is known about them."""

from __future__ import annotations

import logging
from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from yolov7.utils.names import suggest

_logger = logging.getLogger(__name__)

_NEW_NAMES = {
    "class_names": "thing_classes",
    "dataset_id_to_contiguous_id": "thing_dataset_id_to_contiguous_id",
    "stuff_class_names": "stuff_classes",
}


class _DatasetCatalog(UserDict):
    """Dataset names and the functions that load their records."""

    def register(self, name: str, func: Callable[[], list[dict]]) -> None:
        """Add a dataset.

        Args:
            func: called without arguments, returns the records, the same ones each time.

        Raises:
            AssertionError: the name is taken, or `func` cannot be called.
        """
        assert callable(func), f"Dataset '{name}' needs a function, got {func!r}."
        assert name not in self, f"There is a dataset '{name}' already."
        self[name] = func

    def get(self, name: str) -> list[dict]:
        """Load the records of a dataset, anew at each call.

        Raises:
            KeyError: there is no such dataset.
        """
        if name not in self:
            raise KeyError(f"There is no dataset '{name}'.{suggest(name, self.data)}")
        return self[name]()

    def list(self) -> list[str]:
        """Names of all datasets."""
        return [*self.data]

    def remove(self, name: str) -> None:
        """Forget a dataset."""
        self.pop(name)

    def __str__(self) -> str:
        return f"DatasetCatalog({', '.join(self.data)})"

    __repr__ = __str__


class Metadata(SimpleNamespace):
    """What is known of a dataset, as attributes, such as `thing_classes`.

    An attribute can be set again only to an equal value (`AssertionError`): two parts of a program
    then cannot disagree about the classes. Missing ones raise `AttributeError`.
    """

    name: str = "N/A"

    def __getattr__(self, key: str) -> Any:
        if key in _NEW_NAMES:
            return getattr(self, _current_name(key))
        known = ", ".join(vars(self)) or "none, it is empty"
        raise AttributeError(f"Metadata of dataset '{self.name}' has no '{key}'; known: {known}.")

    def __setattr__(self, key: str, val: Any) -> None:
        key = _current_name(key)
        old = vars(self).get(key, val)
        assert old == val, f"'{key}' of dataset '{self.name}' is {old!r} already, not {val!r}."
        super().__setattr__(key, val)

    def as_dict(self) -> dict[str, Any]:
        """Return all attributes as a new dict."""
        return dict(vars(self))

    def set(self, **kwargs: Any) -> Metadata:
        """Set several attributes and return this object."""
        for key, value in kwargs.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or the default where there is none."""
        return getattr(self, key, default)


def _current_name(key: str) -> str:
    if key in _NEW_NAMES:
        _logger.warning("Metadata '%s' is called '%s' now.", key, _NEW_NAMES[key])
    return _NEW_NAMES.get(key, key)


class _MetadataCatalog(UserDict):
    """The metadata of each dataset; they come into being when first asked for."""

    def get(self, name: str) -> Metadata:
        """Return the metadata of a dataset: the same object each time."""
        assert name, "Metadata need the name of a dataset."
        if name not in self:
            self[name] = Metadata(name=name)
        return self[name]

    def list(self) -> list[str]:
        """Names of all datasets that have metadata."""
        return [*self.data]

    def remove(self, name: str) -> None:
        """Forget the metadata of a dataset."""
        self.pop(name)

    def __str__(self) -> str:
        return f"MetadataCatalog({', '.join(self.data)})"

    __repr__ = __str__


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()
