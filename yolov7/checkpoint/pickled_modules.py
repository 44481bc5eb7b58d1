"""Reading tensors out of files that hold whole pickled modules, without running any of their code.

`torch.save(model)` writes Python objects: to load them, a program imports and calls whatever the
file names. Here the file is read by an unpickler that knows how to build tensors and plain
containers; for the modules themselves it makes empty records that only remember their attributes,
without importing their classes; and anything else that the file names is refused.
"""

from __future__ import annotations

import collections
import io
import math
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolov7.checkpoint.pickled_calls import Answer
from yolov7.utils.errors import WeightsError

_STORAGES = {
    f"{kind}Storage": dtype
    for kind, dtype in {
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Float": torch.float32,
        "Double": torch.float64,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}

# Classes of which a record is made: layers of PyTorch and of YOLO projects, and what checkpoints
# hold beside the model (numbers of NumPy, sizes, devices).
_RECORDS = re.compile(
    r"torch\.nn\.modules\.\w+\.\w+|models\.(\w+\.)*\w+|utils\.(\w+\.)*\w+"
    r"|torch\.(device|Size|float16|float32|float64|dtype)"
    r"|numpy\.(_?core\.(multiarray|numeric)\.)?(scalar|_reconstruct|_frombuffer|ndarray|dtype)"
    r"|numpy\.dtypes\.\w+|_codecs\.encode"
)


class Record:
    """Stands for an object of the file: its attributes, and none of its code."""

    attributes: dict[str, Any]

    def __new__(cls, *arguments: Any) -> Record:
        record = super().__new__(cls)
        record.attributes = {}
        return record

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def load_pickled_modules(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of `torch.save`; modules in it become their state dicts.

    Args:
        path: a file in the format of PyTorch 1.6 or later (a zip archive).

    Returns:
        What the file holds, a dict: tensors on the CPU, plain values and containers, a state dict
        in place of each module, and `Record` in place of other objects.

    Raises:
        WeightsError: the file is missing, damaged, in the older format, names things that are
            neither tensors nor known layers, or does not hold a dict.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist. Check the path.")
    if not zipfile.is_zipfile(path):
        raise WeightsError(
            f"{path} is damaged or is no PyTorch checkpoint of version 1.6 or later. Copy or "
            "download the file again; an older one is rewritten by torch.save in its own program."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            checkpoint = _Unpickler(archive, path).load()
            checkpoint = _as_state_dicts(checkpoint)
    except WeightsError:
        raise
    except MemoryError:
        raise
    # A pickle is a program: a damaged or hostile one fails in any way that a program can.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path} is damaged or is no PyTorch checkpoint ({reason}).") from error
    if not isinstance(checkpoint, dict):
        raise WeightsError(
            f"{path}: expected a dict of a checkpoint, got a {type(checkpoint).__name__}."
        )
    return checkpoint


class _Unpickler(pickle.Unpickler):
    """Builds tensors, plain containers and records; refuses to look anything else up."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise WeightsError(f"{path} is no PyTorch checkpoint: it has {len(names)} data.pkl.")
        super().__init__(io.BytesIO(archive.read(names[0])))
        self._archive, self._path = archive, path
        self._folder = names[0].removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}
        byte_order = f"{self._folder}byteorder"
        if byte_order in archive.namelist() and archive.read(byte_order).decode() != sys.byteorder:
            raise WeightsError(f"{path} was written on a machine of another byte order.")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return Answer(_FUNCTIONS[module, name])
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if _RECORDS.fullmatch(f"{module}.{name}"):
            return Record
        raise WeightsError(
            f"{self._path} names {module}.{name}, which is neither a tensor nor a known layer; a "
            "file that asks for it could run code, and is refused. Use the authors' own file."
        )

    def persistent_load(self, identifier: Any) -> Tensor:
        """The numbers of one storage, which lie beside the pickle in the archive."""
        kind, dtype, key, _, count = identifier
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise WeightsError(f"{self._path} asks for '{kind}', expected a storage of numbers.")
        if key not in self._storages:
            content = self._archive.read(f"{self._folder}data/{key}")
            if len(content) != count * dtype.itemsize:
                raise WeightsError(f"{self._path} is damaged: storage {key} has a wrong length.")
            if content:
                self._storages[key] = torch.frombuffer(bytearray(content), dtype=dtype)
            else:
                self._storages[key] = torch.empty(0, dtype=dtype)
        return self._storages[key]


def _rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    if not isinstance(storage, Tensor) or math.prod(size) > storage.numel():
        raise ValueError(f"a tensor of {tuple(size)} does not fit its storage")
    return storage.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)


def _rebuild_parameter(data: Tensor, *_: Any) -> Tensor:
    return data


_CONTAINERS: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
}
_FUNCTIONS: dict[tuple[str, str], Callable[..., Tensor]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


def _as_state_dicts(value: Any) -> Any:
    """The same with the state dict of each module in its place, one level deep."""
    if isinstance(value, dict):
        return {key: _as_state_dict(entry) for key, entry in value.items()}
    return _as_state_dict(value)


def _as_state_dict(value: Any) -> Any:
    return dict(_entries(value, "")) if _is_module(value) else value


def _is_module(value: Any) -> bool:
    return isinstance(value, Record) and "_parameters" in value.attributes


def _entries(module: Record, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors in the order of `nn.Module.state_dict`."""
    own = module.attributes
    hidden = own.get("_non_persistent_buffers_set", ())
    tensors = {**own["_parameters"], **own.get("_buffers", {})}
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor) and name not in hidden:
            yield f"{prefix}{name}", tensor
    for name, child in own.get("_modules", {}).items():
        if _is_module(child):
            yield from _entries(child, f"{prefix}{name}.")
