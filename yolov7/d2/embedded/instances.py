"""`Instances`: everything known of the objects of one image."""

from __future__ import annotations

import itertools
from typing import Any

import torch


class Instances:
    """A table with a row per object: fields by name, all of the same length.

    Fields are set and read as attributes (`instances.gt_boxes = ...`) and may be tensors, lists,
    `Boxes`, masks: anything with `len()` and indexing. Attributes that begin with an underscore are
    not fields.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any):
        """Start a table for an image of size (height, width); keywords become fields."""
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        """Size of the image, (height, width)."""
        return self._image_size

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        # Called only for what is no ordinary attribute. Copying and unpickling ask before `_fields`
        # exists, so it is looked up without coming back here.
        fields = self.__dict__.get("_fields", {})
        if name not in fields:
            raise AttributeError(f"Instances have no field '{name}'; there are {list(fields)}.")
        return fields[name]

    def set(self, name: str, value: Any) -> None:
        """Set a field.

        Raises:
            AssertionError: its length differs from that of the fields already there.
        """
        if self._fields and len(value) != len(self):
            raise AssertionError(
                f"Field '{name}' has length {len(value)}, the other fields have {len(self)}."
            )
        self._fields[name] = value

    def has(self, name: str) -> bool:
        """Say whether the field exists."""
        return name in self._fields

    def remove(self, name: str) -> None:
        """Delete a field."""
        del self._fields[name]

    def get(self, name: str) -> Any:
        """Return a field; `KeyError` when it does not exist."""
        return self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        """Return the dict of fields itself, not a copy."""
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> Instances:
        """Return a table whose fields have moved, where they have a method `to`."""
        return self._new(
            {
                name: value.to(*args, **kwargs) if hasattr(value, "to") else value
                for name, value in self._fields.items()
            }
        )

    def _new(self, fields: dict[str, Any]) -> Instances:
        return Instances(self._image_size, **fields)

    def __getitem__(self, item: Any) -> Instances:
        """Select rows by int, slice, or index tensor; an int gives a table of one row."""
        if type(item) is int:
            length = len(self)
            if not -length <= item < length:
                raise IndexError(f"Row {item} of Instances that have {length}.")
            # A slice keeps every kind of field one row long instead of dropping the dimension.
            start = item % length
            item = slice(start, start + 1)
        return self._new({name: value[item] for name, value in self._fields.items()})

    def __len__(self) -> int:
        if not self._fields:
            raise NotImplementedError("Instances without fields have no length.")
        return len(next(iter(self._fields.values())))

    def __iter__(self) -> Any:
        raise NotImplementedError("Instances cannot be iterated over; index them instead.")

    @staticmethod
    def cat(instance_lists: list[Instances]) -> Instances:
        """Join tables of the same image size and with the same fields.

        A list of one gives that very object.

        Raises:
            AssertionError: the list is empty, holds something else, or the sizes differ.
            ValueError: a field of a type that cannot be joined.
        """
        assert len(instance_lists) > 0, "Nothing to join."
        assert all(isinstance(instances, Instances) for instances in instance_lists)
        first = instance_lists[0]
        if len(instance_lists) == 1:
            return first
        sizes = [instances.image_size for instances in instance_lists]
        assert all(size == sizes[0] for size in sizes), f"Image sizes differ: {sizes}."
        return first._new(
            {
                name: _join([instances.get(name) for instances in instance_lists])
                for name in first.get_fields()
            }
        )

    def __repr__(self) -> str:
        height, width = self._image_size
        count = len(self) if self._fields else 0
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        return (
            f"Instances(num_instances={count}, image_height={height}, image_width={width}, "
            f"fields=[{fields}])"
        )


def _join(values: list[Any]) -> Any:
    kind = type(values[0])
    if isinstance(values[0], torch.Tensor):
        return torch.cat(values, dim=0)
    if isinstance(values[0], list):
        return list(itertools.chain.from_iterable(values))
    if hasattr(kind, "cat"):
        return kind.cat(values)
    raise ValueError(f"Fields of type {kind.__name__} cannot be joined.")
