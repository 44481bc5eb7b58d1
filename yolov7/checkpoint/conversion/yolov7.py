"""Weights of the authors' YOLOv7, all seven models, from `.pt` files of training or deployment.

The authors number the layers of a model in the order in which they run, so do the entries of our
state dict; layer by layer the two are paired. What consists of several convolutions (pooling,
transitions) is paired by their names.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from yolov7.checkpoint.conversion.renaming import Shapes, fit_to_shapes
from yolov7.checkpoint.pickled_modules import load_pickled_modules
from yolov7.utils.errors import WeightsError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(?:module\.)?model\.(\d+)\.(.+)")

# For each of the authors' layers, by an entry that it alone has: the parts that it is made of,
# theirs in the order in which ours come.
_LAYERS: dict[str, tuple[tuple[str, str], ...]] = {
    # their part, and what follows it in the names of convolution and norm
    "conv.weight": (("", "conv bn"),),
    "rbr_dense.0.weight": (("rbr_dense.", "0 1"), ("rbr_1x1.", "0 1")),
    "cv7.conv.weight": tuple((f"cv{n}.", "conv bn") for n in (2, 1, 3, 4, 5, 6, 7)),
    "cv3.conv.weight": tuple((f"cv{n}.", "conv bn") for n in (3, 1, 2)),
}

# Theirs in the last layer, and ours where the head has implicit layers and where it has none.
_PREDICTORS = (
    (re.compile(r"m\.(\d+)\.(weight|bias)"), r"head.predictors.\1.conv.\2"),
    (re.compile(r"m\.(\d+)\.(weight|bias)"), r"head.predictors.\1.\2"),
    (re.compile(r"ia\.(\d+)\.implicit"), r"head.predictors.\1.add.implicit"),
    (re.compile(r"im\.(\d+)\.implicit"), r"head.predictors.\1.multiply.implicit"),
    (re.compile(r"m2\.(\d+)\.(weight|bias)"), r"auxiliary_head.predictors.\1.\2"),
)

# The number of the last layer, in graphs of training and of deployment.
_MODELS = {
    77: "YOLOv7-tiny",
    105: "YOLOv7",
    121: "YOLOv7-X",
    122: "YOLOv7-W6 with auxiliary head",
    118: "YOLOv7-W6 without auxiliary head",
    144: "YOLOv7-E6 with auxiliary head",
    140: "YOLOv7-E6 without auxiliary head",
    166: "YOLOv7-D6 with auxiliary head",
    162: "YOLOv7-D6 without auxiliary head",
    265: "YOLOv7-E6E with auxiliary head",
    261: "YOLOv7-E6E without auxiliary head",
}

_PUBLISHED_ANCHORS = (
    ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326)),
    ((12, 16, 19, 36, 40, 28), (36, 75, 76, 55, 72, 146), (142, 110, 192, 243, 459, 401)),
    (
        (19, 27, 44, 40, 38, 94),
        (96, 68, 86, 152, 180, 137),
        (140, 301, 303, 264, 238, 542),
        (436, 615, 739, 380, 925, 792),
    ),
)


def convert_yolov7(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert the authors' YOLOv7 weights to ours.

    Files of deployment have no implicit layers: where the config has them, they become 0 and 1,
    which change nothing. The auxiliary head is never made up: for a P6 file of deployment the
    config sets `MODEL.AUXILIARY_HEAD.CHANNELS []`. Anchors are not weights here: other than the
    published ones are named in a warning and belong into `MODEL.YOLO.ANCHORS`.

    Args:
        source: the authors' `.pt` file, what `load_pickled_modules` makes of it, or a bare state
            dict.
        shapes: {name: shape} of our model's state dict, in its order.

    Returns:
        Our state dict, in the order of `shapes`; half precision becomes float32.

    Raises:
        WeightsError: the file is damaged, unsafe, no such checkpoint, or belongs to another model.
    """
    if not isinstance(source, Mapping):
        source = load_pickled_modules(source)
    layers = _layers_of(_state_of(source))
    last = max(layers)
    if "m.0.weight" not in layers[last]:
        raise WeightsError(
            f"expected YOLOv7's checkpoint, whose last layer predicts; layer {last} has "
            f"{', '.join(list(layers[last])[:5])}"
        )
    _report_anchors(layers[last])
    renamed = _rename(layers, last, shapes)
    state = {
        theirs: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        for theirs, value in _flat(layers).items()
        if not re.fullmatch(rf"model\.{last}\.(anchors|anchor_grid)", theirs)
    }
    described = _MODELS.get(last, f"a YOLOv7 of no published size, with {last + 1} layers")
    classes = len(layers[last]["m.0.bias"]) // 3 - 5
    return fit_to_shapes(
        {**state, **_neutral(renamed.values(), shapes)},
        shapes,
        rename=lambda name: renamed.get(name, name),
        describe=lambda entries: (
            describe_yolov7(shapes) if entries is shapes else f"{described}, {classes} classes"
        ),
    )


def describe_yolov7(shapes: Shapes) -> str:
    """Say which YOLOv7 entries of our names belong to."""
    width = shapes.get("neck.pooling.mix.conv.weight", (0,))[0]
    chains = [re.fullmatch(r"backbone\.stage2\.1\.(.*)convs\.\d+\.conv\.weight", n) for n in shapes]
    branches = [match[1] for match in chains if match]
    levels = [n for n in shapes if re.fullmatch(r"head\.predictors\.\d+\.(conv\.)?bias", n)]
    auxiliary = any(name.startswith("auxiliary_head.") for name in shapes)
    if not width or not branches or not levels:
        return f"no YOLOv7 (it starts with {next(iter(shapes), 'nothing')})"
    key = (width, branches.count(branches[0]), len(set(branches)), len(levels))
    size = {
        (256, 2, 1, 3): "YOLOv7-tiny",
        (512, 4, 1, 3): "YOLOv7",
        (640, 6, 1, 3): "YOLOv7-X",
        (512, 4, 1, 4): "YOLOv7-W6",
        (640, 6, 1, 4): "YOLOv7-E6",
        (768, 8, 1, 4): "YOLOv7-D6",
        (640, 6, 2, 4): "YOLOv7-E6E",
    }.get(key, "a YOLOv7 of no published size")
    head = " with auxiliary head" if auxiliary else " without auxiliary head"
    classes = shapes[levels[0]][0] // 3 - 5
    return f"{size}{head if len(levels) == 4 else ''}, {classes} classes"


def _state_of(source: Mapping[str, Any]) -> dict[str, Tensor]:
    """The averaged weights if there are any, else the model's, else `source` itself."""
    for key in ("ema", "model"):
        if isinstance(source.get(key), Mapping) and source[key]:
            source = source[key]
            break
    state = {name: value for name, value in source.items() if isinstance(value, Tensor)}
    if not state:
        raise WeightsError(
            "expected YOLOv7's checkpoint, a dict with 'model', or a bare state dict; got one with "
            f"{', '.join(map(str, list(source)[:5])) or 'nothing in it'}"
        )
    return state


def _layers_of(state: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """{number of the layer: {rest of the name: tensor}}, ascending."""
    layers: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, value in state.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise WeightsError(
                f"expected YOLOv7's entries, named model.0.conv.weight and so on; got {name}"
            )
        layers[int(match[1])][match[2]] = value
    return dict(sorted(layers.items()))


def _flat(layers: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"model.{n}.{rest}": x for n, layer in layers.items() for rest, x in layer.items()}


def _rename(
    layers: Mapping[int, Mapping[str, Tensor]], last: int, shapes: Shapes
) -> dict[str, str]:
    """{their name: ours}; what cannot be paired is left out."""
    renamed = {}
    units = _units(shapes)
    for number, layer in layers.items():
        if number == last:
            break
        kind = next((parts for entry, parts in _LAYERS.items() if entry in layer), ())
        for part, places in kind:
            unit = next(units, None)
            if unit is None:
                return renamed
            for theirs, ours in zip(places.split(), ("conv", "norm"), strict=True):
                start = f"{part}{theirs}."
                for rest in layer:
                    if rest.startswith(start):
                        renamed[f"model.{number}.{rest}"] = (
                            f"{unit}.{ours}.{rest.removeprefix(start)}"
                        )
    for rest in layers[last]:
        for pattern, replacement in _PREDICTORS:
            ours = pattern.sub(replacement, rest)
            if pattern.fullmatch(rest) and ours in shapes:
                renamed[f"model.{last}.{rest}"] = ours
    return renamed


def _units(shapes: Shapes) -> Iterator[str]:
    """Names of our convolutions with normalisation, in the order of the state dict."""
    for name in shapes:
        unit = name.removesuffix(".conv.weight")
        if unit != name and f"{unit}.norm.weight" in shapes:
            yield unit


def _neutral(renamed: Any, shapes: Shapes) -> dict[str, Tensor]:
    """Implicit layers that change nothing, for a model that has them and a file that has not."""
    found = set(renamed)
    names = [name for name in shapes if name.endswith(".implicit")]
    if found.intersection(names):
        return {}
    return {name: torch.full(shapes[name], 1.0 if ".multiply." in name else 0.0) for name in names}


def _report_anchors(last: Mapping[str, Tensor]) -> None:
    if "anchor_grid" not in last:
        return
    levels = last["anchor_grid"].flatten(1).tolist()
    if any(_close(levels, known) for known in _PUBLISHED_ANCHORS):
        return
    sides = last["anchor_grid"].flatten(1).unflatten(1, (-1, 2)).double()
    logger.warning(
        "These weights were trained with anchors of their own. Set them in the config: "
        "MODEL.YOLO.ANCHORS %s",
        [[[round(side, 2) for side in pair] for pair in level] for level in sides.tolist()],
    )


def _close(levels: list[list[float]], known: tuple[tuple[int, ...], ...]) -> bool:
    found, published = torch.tensor(levels), torch.tensor(known).float()
    # Anchors are whole pixels, of which half precision holds all up to 2048.
    return found.shape == published.shape and torch.allclose(found, published, atol=0.5)
