"""Reading pickles of NumPy arrays, as detectron2's model zoo has them, without running their code.

A pickle names functions to call. The few that arrays are made of are answered here by own ones that
take numbers out of bytes, so that not even NumPy's are called; whatever else a file names is
refused.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from yolov7.checkpoint.pickled_calls import Answer
from yolov7.utils.errors import WeightsError

_NUMBER = re.compile(r"b1|[iu][1248]|f[248]")


def load_pickled_arrays(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read a pickle of a dict of arrays, text, numbers and plain containers.

    Args:
        path: a file of any pickle protocol; of Python 2, too.

    Returns:
        What the file holds. Values of the dict, and of dicts that are its values, are `np.ndarray`s
        of native byte order where they are arrays.

    Raises:
        WeightsError: the file is missing or damaged, names anything but arrays of numbers, or does
            not hold a dict.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist. Check the path.")
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file, path).load()
        if isinstance(content, dict):
            content = {key: _with_arrays(value) for key, value in content.items()}
    except (WeightsError, MemoryError):
        raise
    # A pickle is a program: a damaged or hostile one fails in any way that a program can.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{path} is damaged or is no pickle of arrays ({reason}). Copy or download the file "
            "again; PyTorch's .pth and .pt files are none, and have converters of their own."
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a dict of arrays, got a {type(content).__name__}.")
    return content


class _Unpickler(pickle.Unpickler):
    """Builds arrays of numbers and plain containers; refuses to look anything else up."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        # Python 2 and 3 and NumPy 1 and 2 have the same things in different places.
        module = module.replace("__builtin__", "builtins").replace("numpy._core", "numpy.core")
        answer = _ANSWERS.get(f"{module}.{name}")
        if answer is None:
            raise WeightsError(
                f"{self._path} names {module}.{name}, which is no array of numbers; a file that "
                "asks for it could run code, and is refused. Use the file of the model zoo."
            )
        return Answer(answer)


class _Format:
    """Stands for a `numpy.dtype` of numbers; its state says the byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise ValueError(f"its arrays have elements of the kind {code!r}, expected numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for a `numpy.ndarray`, which gets its numbers in a second step."""

    def __init__(self, *_: Any) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, number_format, by_columns, content = state
        self.values = _numbers(content, number_format, shape, "F" if by_columns else "C")


def _numbers(
    content: bytes | str, number_format: _Format, shape: tuple[int, ...], order: str
) -> np.ndarray:
    # Python 2 wrote bytes as text.
    content = content.encode("latin1") if isinstance(content, str) else content
    if any(side < 0 for side in shape):
        raise ValueError(f"an array has the shape {shape}")
    values = np.frombuffer(content, dtype=number_format.dtype).reshape(shape, order=order)
    return values.astype(number_format.dtype.newbyteorder("="), order="C")


def _filled(*arguments: Any) -> _Array:
    array = _Array()
    array.values = _numbers(*arguments)
    return array


def _scalar(number_format: _Format, content: bytes | str) -> _Array:
    return _filled(content, number_format, (), "C")


def _bytes_of_text(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it has bytes as text in {encoding!r}, expected 'latin1'")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_ANSWERS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _bytes_of_text,
    "builtins.bytes": _no_bytes,
    "collections.OrderedDict": dict,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _filled,
    "numpy.dtype": _Format,
    # Said as the kind of array to make, of which there is one.
    "numpy.ndarray": _Array,
}


def _with_arrays(value: Any, *, deep: bool = True) -> Any:
    if isinstance(value, _Array):
        if value.values is None:
            raise ValueError("an array has no numbers")
        return value.values
    if deep and isinstance(value, dict):
        return {key: _with_arrays(entry, deep=False) for key, entry in value.items()}
    return value
