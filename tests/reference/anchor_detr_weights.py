"""The entries of the authors' Anchor DETR state dicts: names and shapes, as facts, and a filling.

github.com/megvii-research/AnchorDETR, commit 0b4358a, Apache-2.0, one level.
"""

from __future__ import annotations

import re

import torch
from deterministic import fill_entry, uniform
from detr_weights import Shapes, conv, layer_norm, linear, resnet_shapes

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
POINTS = "transformer.position.weight"


def anchor_detr_shapes(*, blocks: tuple[int, ...] = R50, **transformer: object) -> Shapes:
    """A model with a ResNet of bottlenecks, in the sizes that were published."""
    shapes = {f"backbone.body.{name}": shape for name, shape in resnet_shapes(blocks).items()}
    return shapes | head_shapes(in_channels=2048, **transformer)


def head_shapes(
    *,
    in_channels: int,
    channels: int = 256,
    feedforward: int = 1024,
    encoder_layers: int = 6,
    decoder_layers: int = 6,
    points: int = 300,
    patterns: int = 3,
    num_classes: int = 91,
    row_column: bool = True,
    learned: bool = True,
) -> Shapes:
    """Everything behind the backbone."""
    shapes = conv("input_proj.0.0", (channels, in_channels, 1, 1))
    shapes |= layer_norm("input_proj.0.1", channels)
    inputs = 5 if row_column else 3
    for prefix, layers, attentions in (
        ("encoder", encoder_layers, {"self_attn": inputs}),
        ("decoder", decoder_layers, {"cross_attn": inputs, "self_attn": 3}),
    ):
        for layer in (f"transformer.{prefix}_layers.{number}." for number in range(layers)):
            for number, (attention, count) in enumerate(attentions.items(), start=1):
                shapes[f"{layer}{attention}.in_proj_weight"] = (count * channels, channels)
                shapes[f"{layer}{attention}.in_proj_bias"] = (count * channels,)
                shapes |= linear(f"{layer}{attention}.out_proj", channels, channels)
                shapes |= layer_norm(f"{layer}norm{number}", channels)
            shapes |= linear(f"{layer}ffn.linear1", channels, feedforward)
            shapes |= linear(f"{layer}ffn.linear2", feedforward, channels)
            shapes |= layer_norm(f"{layer}ffn.norm2", channels)
    shapes["transformer.pattern.weight"] = (patterns, channels)
    if learned:
        shapes[POINTS] = (points, 2)
    for name in ("adapt_pos1d", "adapt_pos2d"):
        for index in (0, 2):
            shapes |= linear(f"transformer.{name}.{index}", channels, channels)
    for copy in range(decoder_layers):
        shapes |= linear(f"transformer.class_embed.{copy}", channels, num_classes)
        for index, width in enumerate((channels, channels, 4)):
            shapes |= linear(f"transformer.bbox_embed.{copy}.layers.{index}", channels, width)
    return shapes


def fill_state(shapes: Shapes) -> dict[str, torch.Tensor]:
    """Every entry by rule, but equal copies of the predictors, and points in and beside [0, 1]."""
    state = {}
    for name, shape in shapes.items():
        first = re.sub(r"(class_embed|bbox_embed)\.\d+\.", r"\1.0.", name)
        state[name] = state[first] if first in state else fill_entry(first, shape)
    if POINTS in state:
        count = len(state[POINTS])
        state[POINTS] = torch.from_numpy(uniform(POINTS, 2 * count)).view(count, 2)
        state[POINTS][0] = torch.tensor([-0.2, 1.3], dtype=torch.float64)
    return state
