"""Weights of the authors' YOLOX (github.com/Megvii-BaseDetection/YOLOX), nano to x."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolov7.checkpoint.checkpointer import load_checkpoint
from yolov7.checkpoint.conversion.renaming import Shapes, fit_to_shapes, rename_by_rules
from yolov7.utils.errors import WeightsError

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        # The authors call backbone and neck together "backbone"; the neck comes first here, since
        # the next rule makes a new "backbone.".
        (r"^backbone\.lateral_conv0\.", r"neck.reduce_convs.1."),
        (r"^backbone\.reduce_conv1\.", r"neck.reduce_convs.0."),
        (r"^backbone\.C3_p4\.", r"neck.top_down_blocks.1."),
        (r"^backbone\.C3_p3\.", r"neck.top_down_blocks.0."),
        (r"^backbone\.bu_conv2\.", r"neck.downsample_convs.0."),
        (r"^backbone\.bu_conv1\.", r"neck.downsample_convs.1."),
        (r"^backbone\.C3_n3\.", r"neck.bottom_up_blocks.0."),
        (r"^backbone\.C3_n4\.", r"neck.bottom_up_blocks.1."),
        (r"^backbone\.backbone\.", r"backbone."),
        (r"^head\.cls_convs\.", r"head.class_convs."),
        (r"^head\.reg_convs\.", r"head.box_convs."),
        (r"^head\.cls_preds\.", r"head.class_predictors."),
        (r"^head\.reg_preds\.", r"head.box_predictors."),
        (r"^head\.obj_preds\.", r"head.objectness_predictors."),
        # Pyramid pooling, then CSP blocks; a bottleneck inside one keeps conv1 and conv2.
        (r"^backbone\.dark5\.1\.conv1\.", r"backbone.dark5.1.squeeze."),
        (r"^backbone\.dark5\.1\.conv2\.", r"backbone.dark5.1.mix."),
        (r"^(backbone\.dark\d\.\d|neck\.\w+_blocks\.\d)\.conv1\.", r"\1.deep."),
        (r"^(backbone\.dark\d\.\d|neck\.\w+_blocks\.\d)\.conv2\.", r"\1.shallow."),
        (r"^(backbone\.dark\d\.\d|neck\.\w+_blocks\.\d)\.conv3\.", r"\1.mix."),
        (r"\.m\.(\d+)\.", r".blocks.\1."),
        (r"\.dconv\.", r".depthwise."),
        (r"\.pconv\.", r".pointwise."),
        (r"\.bn\.", r".norm."),
    ]
]

_STEM = "backbone.stem.conv.conv.weight"
_CLASSES = "head.class_predictors.0.weight"
_FIRST_BLOCKS = re.compile(r"^backbone\.dark2\.1\.blocks\.(\d+)\.")
_SIZES = {
    (16, 1, True): "nano",
    (24, 1, False): "tiny",
    (32, 1, False): "s",
    (48, 2, False): "m",
    (64, 3, False): "l",
    (80, 4, False): "x",
}


def convert_yolox(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert the authors' YOLOX weights to ours.

    Args:
        source: the authors' `.pth` file, what it holds, or a bare state dict.
        shapes: {name: shape} of our model's state dict.

    Returns:
        Our state dict: the same tensors under our names, in the order of `shapes`.

    Raises:
        WeightsError: the file is damaged, is no such checkpoint, or belongs to a model of another
            size or number of classes.
    """
    if not isinstance(source, Mapping):
        # Checkpoints of the authors' trainer hold the best AP as a NumPy number.
        with torch.serialization.safe_globals(_numpy_number_types()):
            source = load_checkpoint(source)
    state = source["model"] if isinstance(source.get("model"), Mapping) else source
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign or not state:
        raise WeightsError(
            "expected YOLOX's checkpoint, a dict with 'model', or a bare state dict; "
            f"got one with {', '.join(map(str, foreign[:5])) or 'nothing in it'}"
        )
    return fit_to_shapes(state, shapes, rename=yolox_name, describe=describe_yolox)


def yolox_name(name: str) -> str:
    """Our name of the authors' entry `name`; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def describe_yolox(shapes: Shapes) -> str:
    """Say which YOLOX entries of our names belong to: size and number of classes."""
    if _STEM not in shapes or _CLASSES not in shapes:
        return f"no YOLOX with CSPDarknet (it starts with {next(iter(shapes), 'nothing')})"
    width, classes = shapes[_STEM][0], shapes[_CLASSES][0]
    depth = len({match[1] for match in map(_FIRST_BLOCKS.match, shapes) if match})
    depthwise = any(".depthwise." in name for name in shapes)
    size = _SIZES.get((width, depth, depthwise))
    kind = f"YOLOX-{size}" if size else "a YOLOX of no published size"
    return (
        f"{kind} (stem of {width} channels, {depth} block(s) in the first stage"
        f"{', depthwise' if depthwise else ''}) with {classes} classes"
    )


def _numpy_number_types() -> list[Any]:
    scalar = np.float64(0).__reduce__()[0]
    return [
        scalar,
        # NumPy before version 2 wrote the same function under this name.
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
    ]
