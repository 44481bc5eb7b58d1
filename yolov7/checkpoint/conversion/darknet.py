"""Weights of the program darknet (github.com/AlexeyAB/darknet): `.weights` files of YOLOv4.

Such a file has no names: after a short header come the numbers of each convolution in the order in
which the network's layers are written down. That order is told here from our entries' names.
"""

from __future__ import annotations

import logging
import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolov7.checkpoint.conversion.renaming import Shapes
from yolov7.utils.errors import WeightsError

logger = logging.getLogger(__name__)

_NORM_ENTRIES = ("norm.bias", "norm.weight", "norm.running_mean", "norm.running_var")
# A layer that a backbone alone has, and how the layers of the neck begin that darknet puts on it.
_NETWORKS = {
    "backbone.dark1.down": "neck.pooling.",  # CSPDarknet53, PAFPN
    "backbone.dark2.conv1": "neck.convs.",  # CSPDarknetTiny, TinyFPN
    "backbone.dark1.0": "neck.blocks.",  # Darknet, DarknetFPN
}
_FITTING = (
    "Fitting are CSPDarknet53 under PAFPN, CSPDarknetTiny under TinyFPN and Darknet under "
    "DarknetFPN, with AnchorHead, MODEL.HEAD.PRE_CONV conv and MODEL.HEAD.IMPLICIT False"
)


@dataclass(frozen=True)
class Layer:
    """A convolution of ours as a file holds it.

    Attributes:
        unit: name of the module; with normalisation, of the one that has `conv` and `norm`.
        entries: names of its state-dict entries in the file's order.
        shapes: of the entries.
    """

    unit: str
    entries: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return sum(math.prod(shape) for shape in self.shapes)


def convert_darknet(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert darknet's weights to ours.

    A file that ends early, with a whole layer and not before the backbone is complete, such as
    `yolov4.conv.137`, fills what it has; and where neck or head are none of darknet's, the backbone
    alone is filled. The log says what is not.

    Args:
        source: darknet's `.weights` file.
        shapes: {name: shape} of our model's state dict, in its order.

    Returns:
        Our state dict, float32, in the order of `shapes`, without what the file does not have.

    Raises:
        WeightsError: the file is damaged, is none of darknet's, or belongs to another network or
            number of classes, or the model is none of darknet's.
    """
    if isinstance(source, Mapping):
        raise WeightsError("expected the path of darknet's .weights file, got a dict")
    path = os.fspath(source)
    layers = layers_in_file_order(shapes)
    numbers = read_numbers(path)
    present = _present_layers(path, len(numbers), layers, shapes)
    state: dict[str, Tensor] = {}
    start = 0
    for layer in present:
        for name, shape in zip(layer.entries, layer.shapes, strict=True):
            stop = start + math.prod(shape)
            state[name] = torch.from_numpy(numbers[start:stop].astype(np.float32)).reshape(shape)
            start = stop
        _check_variance(path, layer, state)
        counter = f"{layer.unit}.norm.num_batches_tracked"
        if counter in shapes:
            state[counter] = torch.zeros((), dtype=torch.int64)
    if len(state) < len(shapes):
        missing = [name for name in shapes if name not in state]
        logger.warning(
            "%s: filled up to %s. Not filled, so the model keeps its start values there: %s",
            path, present[-1].unit, ", ".join(dict.fromkeys(map(_module_of, missing))),
        )  # fmt: skip
    _reverse_pooled_maps(state)
    return {name: state[name] for name in shapes if name in state}


def read_numbers(path: str | os.PathLike[str]) -> np.ndarray:
    """All numbers of a `.weights` file behind its header, float32, not copied into memory.

    The header is three 32-bit integers (version), then the number of pictures seen in training,
    of 64 bits since version 0.2, of 32 bits before.

    Raises:
        WeightsError: the file is missing, too short, no such file, or not made of whole numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected darknet's .weights file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(12)
    if len(start) < 12:
        raise WeightsError(f"{path}: has {size} bytes, too few for darknet's header of 16 or 20")
    major, minor, _ = struct.unpack("<iii", start)
    # Versions so far are 0.1 and 0.2; other files' first bytes are large numbers.
    if not (0 <= major < 100 and 0 <= minor < 100):
        raise WeightsError(
            f"{path}: is no .weights file of darknet, whose first two numbers are its version; "
            f"here they are {major} and {minor}. Files of PyTorch have converters of their own"
        )
    header = 20 if major * 10 + minor >= 2 else 16
    if size <= header or (size - header) % 4:
        raise WeightsError(
            f"{path}: was cut off: after the header of {header} bytes there are "
            f"{max(size - header, 0)}, expected 4 for each number"
        )
    return np.memmap(path, dtype="<f4", mode="r", offset=header)


def layers_in_file_order(shapes: Shapes) -> list[Layer]:
    """The convolutions of one of darknet's networks in the order of its file.

    Args:
        shapes: {name: shape} of our model's state dict, in its order.

    Returns:
        The backbone's alone where neck or head are none of darknet's.

    Raises:
        WeightsError: the backbone is none of darknet's.
    """
    by_unit = {layer.unit: layer for layer in _layers(shapes)}
    necks = [neck for layer, neck in _NETWORKS.items() if layer in by_unit]
    backbone = [layer for unit, layer in by_unit.items() if unit.startswith("backbone.")]
    left = [name for name in _left_over(backbone, shapes) if name.startswith("backbone.")]
    if left or not necks:
        has = (left or [layer.unit for layer in backbone] or ["nothing"])[0]
        raise WeightsError(f"the config's backbone is none of darknet's (it has {has}). {_FITTING}")
    if not any(unit.startswith(necks[0]) for unit in by_unit):
        return backbone
    ordered = [by_unit[unit] for unit in _units_in_file_order(list(by_unit)) if unit in by_unit]
    return backbone if _left_over(ordered, shapes) else ordered


def _left_over(layers: list[Layer], shapes: Shapes) -> list[str]:
    """Entries that have no place in a file."""
    named = {name for layer in layers for name in layer.entries}
    return [name for name in shapes if name not in named and "num_batches_tracked" not in name]


def _module_of(entry: str) -> str:
    """A name short enough to be listed: part, list of modules, place in it."""
    return ".".join(entry.rpartition(".")[0].split(".")[:3])


def _layers(shapes: Shapes) -> Iterator[Layer]:
    for name in shapes:
        unit = name.removesuffix(".conv.weight")
        if unit != name and f"{unit}.norm.running_var" in shapes:
            entries = (*(f"{unit}.{entry}" for entry in _NORM_ENTRIES), name)
        elif name.startswith("head.predictors.") and name.endswith(".weight"):
            unit = name.removesuffix(".weight")
            entries = (f"{unit}.bias", name)
        else:
            continue
        if all(entry in shapes for entry in entries):
            yield Layer(unit, entries, tuple(tuple(shapes[entry]) for entry in entries))


def _units_in_file_order(units: list[str]) -> Iterator[str]:
    """Backbone first, then neck and head level by level as the data flow."""

    def inside(*prefixes: str) -> Iterator[str]:
        for prefix in prefixes:
            yield from (unit for unit in units if f"{unit}.".startswith(f"{prefix}."))

    def head(level: int) -> Iterator[str]:
        yield from (f"head.pre_convs.{level}", f"head.predictors.{level}")

    yield from inside("backbone")
    top = sum(unit.startswith("head.predictors.") for unit in units) - 1
    if any(unit.startswith("neck.pooling.") for unit in units):  # PAFPN
        yield from inside("neck.pooling")
        for level in reversed(range(top)):
            parts = ("reduce_convs", "lateral_convs", "top_down_blocks")
            yield from inside(*(f"neck.{part}.{level}" for part in parts))
        yield from head(0)
        for level in range(top):
            yield from inside(f"neck.downsample_convs.{level}", f"neck.bottom_up_blocks.{level}")
            yield from head(level + 1)
    else:  # TinyFPN, which has `convs`; DarknetFPN
        for level in reversed(range(top + 1)):
            reduce = () if level == top else (f"neck.reduce_convs.{level}",)
            yield from inside(*reduce, f"neck.convs.{level}", f"neck.blocks.{level}")
            yield from head(level)


def _present_layers(path: str, count: int, layers: list[Layer], shapes: Shapes) -> list[Layer]:
    """The first layers whose numbers a file of `count` numbers holds, without any left over."""
    total = sum(layer.count for layer in layers)
    is_whole = not _left_over(layers, shapes)
    if count == total:
        return layers
    what = "model" if is_whole else "backbone"
    wanted = f"{path} holds {count:,} numbers, the {what} of the config {total:,}"
    if not is_whole and count > total:
        logger.warning(
            "%s, and neck or head are none of darknet's: the numbers behind the backbone are "
            "left out. %s", wanted, _FITTING,
        )  # fmt: skip
        return layers
    classes = _classes_by_count(count, layers) if is_whole else None
    if classes is not None:
        found, ours = classes
        raise WeightsError(
            f"{wanted}. It is the same network with {found} classes, not {ours}: set "
            f"MODEL.YOLO.CLASSES {found}"
        )
    if count > total:
        raise WeightsError(
            f"{wanted}: {count - total:,} would be left over. Use the config that fits the weights"
        )
    present, left = [], count
    for layer in layers:
        if left < layer.count:
            break
        present.append(layer)
        left -= layer.count
    next_layer = layers[len(present)]
    if left:
        raise WeightsError(
            f"{wanted}. It ends inside {next_layer.unit}, after {left:,} of {next_layer.count:,} "
            "numbers: it was cut off, or belongs to another network"
        )
    if next_layer.unit.startswith("backbone."):
        raise WeightsError(f"{wanted}. It ends inside the backbone, before {next_layer.unit}")
    return present


def _classes_by_count(count: int, layers: list[Layer]) -> tuple[int, int] | None:
    """Classes of a file and of the model if nothing else explains the number of numbers."""
    predictors = [layer for layer in layers if layer.unit.startswith("head.predictors.")]
    outputs = predictors[0].shapes[0][0]
    fixed = sum(layer.count for layer in layers) - sum(layer.count for layer in predictors)
    each = sum(layer.count // outputs for layer in predictors)
    found, rest = divmod(count - fixed, each)
    # Three anchors with four numbers of a box, one of an object and the classes' each.
    if rest or found % 3 or found // 3 <= 5:
        return None
    return found // 3 - 5, outputs // 3 - 5


def _check_variance(path: str, layer: Layer, state: Mapping[str, Tensor]) -> None:
    variance = state.get(f"{layer.unit}.norm.running_var")
    if variance is not None and not bool(((variance >= 0) & variance.isfinite()).all()):
        raise WeightsError(
            f"{path}: what should be the variances of {layer.unit} has negative or infinite "
            "numbers: the file belongs to another network, or is damaged"
        )


def _reverse_pooled_maps(state: dict[str, Tensor]) -> None:
    """Darknet joins pooled maps from the largest window to none, ours go the other way."""
    for name in [name for name in state if name.endswith(".mix.conv.weight")]:
        squeezed = state.get(name.replace(".mix.", ".squeeze."))
        if squeezed is not None:
            maps = state[name].split(len(squeezed), dim=1)
            state[name] = torch.cat(maps[::-1], dim=1)
