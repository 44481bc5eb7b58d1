"""Weights of the authors' Anchor DETR (github.com/megvii-research/AnchorDETR), of one level."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

import torch
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
from yolov7.utils.errors import WeightsError

_LAYER = r"^transformer\.{}_layers\.(\d+)\.{}\."
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^input_proj\.0\.0\.", r"neck.conv."),
        (r"^input_proj\.0\.1\.", r"neck.norm."),
        *(
            (_LAYER.format(kind, theirs), rf"head.transformer.{kind}.layers.\1.{ours}.")
            for kind, parts in {
                "encoder": {"self_attn": "attention", "norm1": "attention_residual.norm"},
                "decoder": {
                    "self_attn": "self_attention",
                    "norm2": "self_residual.norm",
                    "cross_attn": "cross_attention",
                    "norm1": "cross_residual.norm",
                },
            }.items()
            for theirs, ours in {
                **parts,
                "ffn.linear1": "feedforward.layers.0",
                "ffn.linear2": "feedforward.layers.1",
                "ffn.norm2": "feedforward_residual.norm",
            }.items()
        ),
        (r"^transformer\.pattern\.weight$", r"head.transformer.patterns"),
        (r"^transformer\.position\.", r"head.transformer.points."),
        *(
            (
                rf"^transformer\.adapt_pos{dimensions}d\.{2 * layer}\.",
                rf"head.transformer.positions.{code}.mlp.layers.{layer}.",
            )
            for dimensions, code in ((1, "axis"), (2, "plane"))
            for layer in (0, 1)
        ),
        (r"^transformer\.class_embed\.0\.", r"head.class_predictor."),
        (r"^transformer\.bbox_embed\.0\.", r"head.box_predictor."),
    ]
]

_COPY = re.compile(r"(transformer\.(?:class|bbox)_embed)\.[1-9]\d*\.(.+)")
_CLASSES = ("head.class_predictor.weight", "head.class_predictor.bias")
_AXIS = "head.transformer.positions.axis."
_ROW_COLUMN = re.compile(r"head\.transformer\.encoder\.layers\.\d+\.attention\.in_proj_weight")
_OPTIONAL = re.compile(r"head\.(class_predictor\..*|transformer\.(points\..*|patterns))")


def convert_anchor_detr(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert the authors' Anchor DETR weights to ours.

    The authors' classes are COCO's ids up to 90; a model of 80 classes gets the rows of those that
    are used. A model of another number of classes, points or patterns gets everything else, and the
    log says what is missing. The authors store the predictors, which all layers of the decoder
    share, once for each layer; these copies must be equal. Models with plain attention never used
    the codes of single axes that the authors store with them; ours have none.

    Args:
        source: the authors' `.pth` file, what it holds, or a bare state dict.
        shapes: {name: shape} of our model's state dict.

    Returns:
        Our state dict, without the entries that the weights cannot fill, in the order of `shapes`.

    Raises:
        WeightsError: the file is damaged, is no such checkpoint, has several levels or different
            copies of the predictors, or belongs to another backbone or transformer.
    """
    # Checkpoints of the authors' trainer hold its command line.
    state = model_entries(source, project="Anchor DETR", safe_types=[argparse.Namespace])
    renamed = {
        anchor_detr_name(name): value
        for name, value in _without_copies(state).items()
        if not name.endswith(".num_batches_tracked")
    }
    if not _is_row_column(renamed):
        renamed = {name: x for name, x in renamed.items() if not name.startswith(_AXIS)}
    renamed = reduce_to_used_classes(renamed, shapes, _CLASSES)
    renamed, shapes = leave_out_what_differs(
        renamed,
        shapes,
        optional=_OPTIONAL,
        reason="for the model has other classes, points or patterns than the weights",
    )
    return fit_to_shapes(renamed, shapes, rename=str, describe=describe_anchor_detr)


def anchor_detr_name(name: str) -> str:
    """Our name of the authors' entry `name`; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def describe_anchor_detr(shapes: Shapes) -> str:
    """Say which Anchor DETR entries of our names belong to: backbone, levels and transformer."""
    if any(name.startswith("input_proj.") for name in shapes):
        return "Anchor DETR with several levels, of which this project builds only one"
    projection = shapes.get("neck.conv.weight")
    if projection is None:
        return f"no Anchor DETR (it starts with {next(iter(shapes), 'nothing')})"
    coders = [
        count_numbers(rf"head\.transformer\.{kind}\.layers\.(\d+)\..*", shapes)
        for kind in ("encoder", "decoder")
    ]
    attention = "row-column" if _is_row_column(shapes) else "plain"
    return (
        f"Anchor DETR with {describe_resnet(shapes)} and a transformer of {coders[0]} + "
        f"{coders[1]} layers, {projection[0]} channels and {attention} attention"
    )


def _without_copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the first copy of the predictors alone."""
    kept = {}
    for name, value in state.items():
        copy = _COPY.fullmatch(name)
        if copy is None:
            kept[name] = value
            continue
        first = f"{copy[1]}.0.{copy[2]}"
        if first not in state or not torch.equal(state[first], value):
            raise WeightsError(
                f"expected {name} to be a copy of {first}, as in all of Anchor DETR's weights; "
                "it is not, so these weights are of another kind"
            )
    return kept


def _is_row_column(entries: Mapping[str, Any]) -> bool:
    """Whether the encoder has five stacked projections instead of three."""
    for name, entry in entries.items():
        if _ROW_COLUMN.fullmatch(name):
            rows, columns = getattr(entry, "shape", entry)
            return rows == 5 * columns
    return True
