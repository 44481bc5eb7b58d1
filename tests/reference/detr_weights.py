"""The entries of the authors' DETR state dicts: names and shapes, as facts.

github.com/facebookresearch/detr, commit 29901c5, Apache-2.0; `deterministic.py` fills them.
"""

from __future__ import annotations

import itertools

Shapes = dict[str, tuple[int, ...]]

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)


def detr_shapes(
    *,
    blocks: tuple[int, ...] = R50,
    num_classes: int = 91,
    pre_norm: bool = False,
    learned: bool = False,
    masks: bool = False,
) -> Shapes:
    """A model with a ResNet of bottlenecks, in the sizes that were published."""
    shapes = {f"backbone.0.body.{name}": shape for name, shape in resnet_shapes(blocks).items()}
    shapes |= head_shapes(
        in_channels=2048,
        num_classes=num_classes,
        pre_norm=pre_norm,
        learned=learned,
    )
    if not masks:
        return shapes
    shapes = {f"detr.{name}": shape for name, shape in shapes.items()}
    return shapes | mask_shapes(256, heads=8, context=(1024, 512, 256))


def resnet_shapes(blocks: tuple[int, ...]) -> Shapes:
    """torchvision's names; the norms are frozen and have four entries."""
    shapes = conv_and_norm("conv1", "bn1", (64, 3, 7, 7))
    before = 64
    for stage, count in enumerate(blocks, start=1):
        width = 32 * 2**stage
        for index in range(count):
            prefix = f"layer{stage}.{index}."
            shapes |= conv_and_norm(f"{prefix}conv1", f"{prefix}bn1", (width, before, 1, 1))
            shapes |= conv_and_norm(f"{prefix}conv2", f"{prefix}bn2", (width, width, 3, 3))
            shapes |= conv_and_norm(f"{prefix}conv3", f"{prefix}bn3", (4 * width, width, 1, 1))
            if index == 0:
                shapes |= conv_and_norm(
                    f"{prefix}downsample.0", f"{prefix}downsample.1", (4 * width, before, 1, 1)
                )
            before = 4 * width
    return shapes


def conv_and_norm(conv: str, norm: str, shape: tuple[int, ...]) -> Shapes:
    entries = ("weight", "bias", "running_mean", "running_var")
    return {f"{conv}.weight": shape} | {f"{norm}.{entry}": shape[:1] for entry in entries}


def head_shapes(
    *,
    in_channels: int,
    channels: int = 256,
    feedforward: int = 2048,
    layers: int = 6,
    queries: int = 100,
    num_classes: int = 91,
    pre_norm: bool = False,
    learned: bool = False,
) -> Shapes:
    """Everything behind the backbone, without masks."""
    shapes: Shapes = {}
    if learned:
        shapes |= {
            f"backbone.1.{axis}_embed.weight": (50, channels // 2) for axis in ("row", "col")
        }
    for layer in range(layers):
        encoder = f"transformer.encoder.layers.{layer}."
        decoder = f"transformer.decoder.layers.{layer}."
        for prefix, norms, attentions in (
            (encoder, 2, ("self_attn",)),
            (decoder, 3, ("self_attn", "multihead_attn")),
        ):
            for attention in attentions:
                shapes[f"{prefix}{attention}.in_proj_weight"] = (3 * channels, channels)
                shapes[f"{prefix}{attention}.in_proj_bias"] = (3 * channels,)
                shapes |= linear(f"{prefix}{attention}.out_proj", channels, channels)
            shapes |= linear(f"{prefix}linear1", channels, feedforward)
            shapes |= linear(f"{prefix}linear2", feedforward, channels)
            for number in range(1, norms + 1):
                shapes |= layer_norm(f"{prefix}norm{number}", channels)
    if pre_norm:
        shapes |= layer_norm("transformer.encoder.norm", channels)
    shapes |= layer_norm("transformer.decoder.norm", channels)
    shapes |= linear("class_embed", channels, num_classes + 1)
    for index, width in enumerate((channels, channels, 4)):
        shapes |= linear(f"bbox_embed.layers.{index}", channels, width)
    shapes["query_embed.weight"] = (queries, channels)
    return shapes | conv("input_proj", (channels, in_channels, 1, 1))


def mask_shapes(channels: int, *, heads: int, context: tuple[int, ...]) -> Shapes:
    """What masks add."""
    shapes = linear("bbox_attention.q_linear", channels, channels)
    shapes |= linear("bbox_attention.k_linear", channels, channels)
    widths = [channels + heads] * 2 + [channels // n for n in (2, 4, 8, 16)]
    for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        shapes |= conv(f"mask_head.lay{number}", (after, before, 3, 3))
        shapes |= layer_norm(f"mask_head.gn{number}", after)
    shapes |= conv("mask_head.out_lay", (1, widths[-1], 3, 3))
    for number, (before, after) in enumerate(zip(context, widths[2:5], strict=True), start=1):
        shapes |= conv(f"mask_head.adapter{number}", (after, before, 1, 1))
    return shapes


def linear(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def layer_norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def conv(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
