"""Weights of the authors' YOLOF (github.com/chensnathan/YOLOF): ResNets and CSPDarknet53."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from yolov7.checkpoint.conversion.detectron2 import RESNET_RULES
from yolov7.checkpoint.conversion.reading import (
    count_numbers,
    describe_resnet,
    model_entries,
)
from yolov7.checkpoint.conversion.renaming import Shapes, fit_to_shapes, rename_by_rules

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^encoder\.(lateral|fpn)_(conv|norm)\.", r"neck.\1_conv.\2."),
        (r"^neck\.fpn_conv\.", r"neck.output_conv."),
        (r"^encoder\.dilated_encoder_blocks\.(\d+)\.(conv\d)\.0\.", r"neck.blocks.\1.\2.conv."),
        (r"^encoder\.dilated_encoder_blocks\.(\d+)\.(conv\d)\.1\.", r"neck.blocks.\1.\2.norm."),
        # Convolution, norm and activation of each layer of a branch are numbered through.
        *(
            (rf"^decoder\.{theirs}\.{3 * layer + part}\.", rf"head.{ours}.{layer}.{kind}.")
            for theirs, ours, length in (
                ("cls_subnet", "class_convs", 2),
                ("bbox_subnet", "box_convs", 4),
            )
            for layer in range(length)
            for part, kind in enumerate(("conv", "norm"))
        ),
        (r"^decoder\.cls_score\.", r"head.class_predictor."),
        (r"^decoder\.bbox_pred\.", r"head.box_predictor."),
        (r"^decoder\.object_pred\.", r"head.objectness_predictor."),
        *RESNET_RULES,
        # CSPDarknet53; in its first residual block the 1x1 convolution before it.
        (r"^backbone\.conv1\.", r"backbone.stem.conv."),
        (r"^backbone\.bn1\.", r"backbone.stem.norm."),
        *(
            (
                rf"^backbone\.layer(\d)\.stage_layers\.(\d+)\.{theirs}(\d)\.",
                rf"backbone.dark\1.blocks.\2.conv\3.{kind}.",
            )
            for theirs, kind in (("conv", "conv"), ("bn", "norm"))
        ),
        *(
            (rf"^backbone\.layer(\d)\.{theirs}\.{part}\.", rf"backbone.dark\1.{ours}.{kind}.")
            for theirs, ours in (
                ("base_layer", "down"),
                ("partial_transition1", "shallow"),
                (r"stage_layers\.0\.downsample", "deep"),
                ("partial_transition2", "after"),
                ("fuse_transition", "mix"),
            )
            for part, kind in enumerate(("conv", "norm"))
        ),
    ]
]  # fmt: skip

_CLASSES = "head.class_predictor.weight"
_BOXES = "head.box_predictor.weight"


def convert_yolof(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert the authors' YOLOF weights, as their detectron2 program saves them, to ours.

    Their `pixel_mean` and `pixel_std` belong to the config here.

    Args:
        source: the authors' `.pth` file, what it holds, or a bare state dict.
        shapes: {name: shape} of our model's state dict.

    Returns:
        Our state dict: the same tensors under our names, in the order of `shapes`.

    Raises:
        WeightsError: the file is damaged, is no such checkpoint, or belongs to a model of another
            backbone or number of anchors, blocks or classes.
    """
    state = model_entries(source, project="YOLOF")
    state = {
        name: value for name, value in state.items() if name not in ("pixel_mean", "pixel_std")
    }
    return fit_to_shapes(state, shapes, rename=yolof_name, describe=describe_yolof)


def yolof_name(name: str) -> str:
    """Our name of the authors' entry `name`; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def describe_yolof(shapes: Shapes) -> str:
    """Say which YOLOF entries of our names belong to."""
    if _CLASSES not in shapes or _BOXES not in shapes:
        return f"no YOLOF (it starts with {next(iter(shapes), 'nothing')})"
    backbone = "another backbone"
    if "backbone.res2.0.conv1.conv.weight" in shapes:
        backbone = describe_resnet(shapes)
    elif "backbone.dark1.down.conv.weight" in shapes:
        backbone = f"CSPDarknet53 (stem of {shapes['backbone.stem.conv.weight'][0]} channels)"
    anchors = shapes[_BOXES][0] // 4
    blocks = count_numbers(r"neck\.blocks\.(\d+)\..*", shapes)
    classes = shapes[_CLASSES][0] // anchors
    return (
        f"YOLOF with {backbone}, {blocks} dilated blocks, {anchors} anchors and {classes} classes"
    )
