"""Weights of the authors' DETR (github.com/facebookresearch/detr), with and without masks."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from yolov7.checkpoint.conversion.coco_classes import reduce_to_used_classes
from yolov7.checkpoint.conversion.reading import (
    count_numbers,
    describe_resnet,
    model_entries,
)
from yolov7.checkpoint.conversion.renaming import (
    Shapes,
    fit_to_shapes,
    leave_out_what_differs,
    rename_by_rules,
)

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        # Models with masks hold the one without them under this name.
        (r"^detr\.", r""),
        (r"^backbone\.0\.body\.", r"backbone.body."),
        (r"^backbone\.1\.row_embed\.", r"head.position_encoding.rows."),
        (r"^backbone\.1\.col_embed\.", r"head.position_encoding.columns."),
        (r"^input_proj\.", r"neck.conv."),
        (r"^query_embed\.", r"head.queries."),
        (r"^class_embed\.", r"head.class_predictor."),
        (r"^bbox_embed\.", r"head.box_predictor."),
        (r"^transformer\.", r"head."),
        (r"(\.encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
        (r"(\.encoder\.layers\.\d+)\.norm1\.", r"\1.attention_residual.norm."),
        (r"(\.encoder\.layers\.\d+)\.norm2\.", r"\1.feedforward_residual.norm."),
        (r"(\.decoder\.layers\.\d+)\.self_attn\.", r"\1.self_attention."),
        (r"(\.decoder\.layers\.\d+)\.multihead_attn\.", r"\1.cross_attention."),
        (r"(\.decoder\.layers\.\d+)\.norm1\.", r"\1.self_residual.norm."),
        (r"(\.decoder\.layers\.\d+)\.norm2\.", r"\1.cross_residual.norm."),
        (r"(\.decoder\.layers\.\d+)\.norm3\.", r"\1.feedforward_residual.norm."),
        (r"(coder\.layers\.\d+)\.linear1\.", r"\1.feedforward.layers.0."),
        (r"(coder\.layers\.\d+)\.linear2\.", r"\1.feedforward.layers.1."),
        (r"^bbox_attention\.q_linear\.", r"head.mask_head.attention.query."),
        (r"^bbox_attention\.k_linear\.", r"head.mask_head.attention.key."),
        (r"^mask_head\.out_lay\.", r"head.mask_head.predictor."),
        # Ours count from 0.
        *(
            (rf"^mask_head\.{theirs}{number}\.", rf"head.mask_head.{ours}.{number - 1}.")
            for theirs, ours, count in (
                ("lay", "convs", 5),
                ("gn", "norms", 5),
                ("adapter", "adapters", 3),
            )
            for number in range(1, count + 1)
        ),
    ]
]

_CLASSES = ("head.class_predictor.weight", "head.class_predictor.bias")
_OPTIONAL = re.compile(r"head\.(class_predictor|queries|mask_head)\..*")


def convert_detr(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert the authors' DETR weights to ours.

    The authors' classes are COCO's ids up to 90; a model of 80 classes gets the rows of those that
    are used. A model of another number of classes or queries, or with a mask head where the weights
    have none or the other way round, gets everything else, and the log says what is missing.

    Args:
        source: the authors' `.pth` file, what it holds, or a bare state dict.
        shapes: {name: shape} of our model's state dict.

    Returns:
        Our state dict, without the entries that the weights cannot fill, in the order of `shapes`.

    Raises:
        WeightsError: the file is damaged, is no such checkpoint, or belongs to another backbone or
            transformer.
    """
    # Checkpoints of the authors' trainer hold its command line.
    state = model_entries(source, project="DETR", safe_types=[argparse.Namespace])
    renamed = {
        detr_name(name): value
        for name, value in state.items()
        if not name.endswith(".num_batches_tracked")
    }
    renamed = reduce_to_used_classes(renamed, shapes, _CLASSES)
    renamed, shapes = leave_out_what_differs(
        renamed,
        shapes,
        optional=_OPTIONAL,
        reason="for the model has other classes, queries or masks than the weights",
    )
    return fit_to_shapes(renamed, shapes, rename=str, describe=describe_detr)


def detr_name(name: str) -> str:
    """Our name of the authors' entry `name`; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def describe_detr(shapes: Shapes) -> str:
    """Say which DETR entries of our names belong to: backbone and transformer."""
    projection = shapes.get("neck.conv.weight")
    if projection is None:
        return f"no DETR (it starts with {next(iter(shapes), 'nothing')})"
    coders = [
        count_numbers(rf"head\.{kind}\.layers\.(\d+)\..*", shapes)
        for kind in ("encoder", "decoder")
    ]
    pre_norm = ", pre-norm" if "head.encoder.norm.weight" in shapes else ""
    learned = ", learned positions" if "head.position_encoding.rows.weight" in shapes else ""
    return (
        f"DETR with {describe_resnet(shapes)} and a transformer of {coders[0]} + {coders[1]} "
        f"layers and {projection[0]} channels{pre_norm}{learned}"
    )
