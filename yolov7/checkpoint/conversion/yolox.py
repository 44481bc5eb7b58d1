"""Weights of the authors' YOLOX (github.com/Megvii-BaseDetection/YOLOX), all seven models."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from yolov7.checkpoint.conversion.reading import model_entries
from yolov7.checkpoint.conversion.renaming import Shapes, fit_to_shapes, rename_by_rules

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
        # YOLOX-darknet53: what leads from the last residual block into the pyramid belongs to the
        # pyramid here.
        (r"^backbone\.backbone\.dark5\.7\.conv1\.", r"neck.blocks.2.2.squeeze."),
        (r"^backbone\.backbone\.dark5\.7\.conv2\.", r"neck.blocks.2.2.mix."),
        *(
            (rf"^backbone\.backbone\.dark5\.{5 + layer}\.", rf"neck.blocks.2.{layer}.")
            for layer in (0, 1, 3, 4)
        ),
        (r"^backbone\.out1_cbl\.", r"neck.reduce_convs.1."),
        (r"^backbone\.out2_cbl\.", r"neck.reduce_convs.0."),
        (r"^backbone\.out1\.", r"neck.blocks.1."),
        (r"^backbone\.out2\.", r"neck.blocks.0."),
        (r"^backbone\.backbone\.stem\.0\.", r"backbone.stem."),
        (r"^backbone\.backbone\.stem\.1\.", r"backbone.dark1.0."),
        (r"^backbone\.backbone\.stem\.2\.", r"backbone.dark1.1."),
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
        # Residual blocks of Darknet; after the CSP blocks, whose conv1 means something else.
        (r"\.layer([12])\.", r".conv\1."),
        (r"\.dconv\.", r".depthwise."),
        (r"\.pconv\.", r".pointwise."),
        (r"\.bn\.", r".norm."),
    ]
]

_CLASSES = "head.class_predictors.0.weight"
_CSP_STEM = "backbone.stem.conv.conv.weight"
_CSP_BLOCKS = re.compile(r"^backbone\.dark2\.1\.blocks\.(\d+)\.")
_DARKNET_STEM = "backbone.stem.conv.weight"
_DARKNET_BLOCKS = re.compile(r"^backbone\.dark3\.(\d+)\.conv1\.")
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
    # Checkpoints of the authors' trainer hold the best AP as a NumPy number.
    state = model_entries(source, project="YOLOX", safe_types=_numpy_number_types())
    return fit_to_shapes(state, shapes, rename=yolox_name, describe=describe_yolox)


def yolox_name(name: str) -> str:
    """Our name of the authors' entry `name`; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def describe_yolox(shapes: Shapes) -> str:
    """Say which YOLOX entries of our names belong to: size and number of classes."""
    if _CLASSES in shapes and _CSP_STEM in shapes:
        kind = _describe_csp(shapes)
    elif _CLASSES in shapes and _DARKNET_STEM in shapes:
        kind = _describe_darknet(shapes)
    else:
        return (
            f"no YOLOX with CSPDarknet or Darknet (it starts with {next(iter(shapes), 'nothing')})"
        )
    return f"{kind} with {shapes[_CLASSES][0]} classes"


def _describe_csp(shapes: Shapes) -> str:
    width, depth = shapes[_CSP_STEM][0], _count_blocks(_CSP_BLOCKS, shapes)
    depthwise = any(".depthwise." in name for name in shapes)
    size = _SIZES.get((width, depth, depthwise))
    kind = f"YOLOX-{size}" if size else "a YOLOX of no published size"
    return (
        f"{kind} (stem of {width} channels, {depth} block(s) in the first stage"
        f"{', depthwise' if depthwise else ''})"
    )


def _describe_darknet(shapes: Shapes) -> str:
    width, depth = shapes[_DARKNET_STEM][0], _count_blocks(_DARKNET_BLOCKS, shapes)
    kind = "YOLOX-darknet53" if (width, depth) == (32, 8) else "a YOLOX of no published size"
    return f"{kind} (Darknet, stem of {width} channels, {depth} block(s) in the third stage)"


def _count_blocks(pattern: re.Pattern[str], shapes: Shapes) -> int:
    return len({match[1] for match in map(pattern.match, shapes) if match})


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
