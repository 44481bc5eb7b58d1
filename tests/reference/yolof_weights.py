"""The entries of the authors' YOLOF state dicts: names and shapes, as facts.

github.com/chensnathan/YOLOF, commit a44b7af, MIT; `deterministic.py` fills them.
"""

from __future__ import annotations

Shapes = dict[str, tuple[int, ...]]

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
CSP_BLOCKS = (1, 2, 8, 8, 4)
FROZEN = ("weight", "bias", "running_mean", "running_var")
TRAINED = (*FROZEN, "num_batches_tracked")


def yolof_shapes(backbone: Shapes, *, in_channels: int, anchors: int, blocks: int) -> Shapes:
    """A model of 80 classes; the encoder has so many blocks."""
    shapes: Shapes = {"pixel_mean": (3, 1, 1), "pixel_std": (3, 1, 1)}
    shapes |= {f"backbone.{name}": shape for name, shape in backbone.items()}
    shapes |= conv("encoder.lateral_conv", (512, in_channels, 1, 1))
    shapes |= norm("encoder.lateral_norm", 512)
    shapes |= conv("encoder.fpn_conv", (512, 512, 3, 3)) | norm("encoder.fpn_norm", 512)
    for block in range(blocks):
        prefix = f"encoder.dilated_encoder_blocks.{block}.conv"
        widths = ((128, 512, 1, 1), (128, 128, 3, 3), (512, 128, 1, 1))
        for number, shape in enumerate(widths, start=1):
            shapes |= conv(f"{prefix}{number}.0", shape) | norm(f"{prefix}{number}.1", shape[0])
    for branch, length in (("cls_subnet", 2), ("bbox_subnet", 4)):
        for layer in range(length):
            shapes |= conv(f"decoder.{branch}.{3 * layer}", (512, 512, 3, 3))
            shapes |= norm(f"decoder.{branch}.{3 * layer + 1}", 512)
    for name, width in (("cls_score", 80), ("bbox_pred", 4), ("object_pred", 1)):
        shapes |= conv(f"decoder.{name}", (anchors * width, 512, 3, 3))
    return shapes


def resnet_shapes(
    blocks: tuple[int, ...],
    *,
    stem: int = 64,
    res2: int = 256,
    groups: int = 1,
    width_per_group: int = 64,
) -> Shapes:
    """detectron2's ResNet of bottlenecks, whose norms are frozen; widths as its config has them."""
    shapes = frozen_conv("stem.conv1", (stem, 3, 7, 7))
    before, out, width = stem, res2, groups * width_per_group
    for stage, count in enumerate(blocks, start=2):
        for index in range(count):
            prefix = f"res{stage}.{index}."
            if index == 0:
                shapes |= frozen_conv(f"{prefix}shortcut", (out, before, 1, 1))
            shapes |= frozen_conv(f"{prefix}conv1", (width, before, 1, 1))
            shapes |= frozen_conv(f"{prefix}conv2", (width, width // groups, 3, 3))
            shapes |= frozen_conv(f"{prefix}conv3", (out, width, 1, 1))
            before = out
        out, width = 2 * out, 2 * width
    return shapes


def csp_darknet_shapes() -> Shapes:
    """The authors' CSPDarknet53, whose convolutions have no bias."""
    shapes: Shapes = {"conv1.weight": (32, 3, 3, 3)} | norm("bn1", 32)
    before = 32
    for stage, count in enumerate(CSP_BLOCKS, start=1):
        width = 2 * before
        branch = width if stage == 1 else before
        prefix = f"layer{stage}."

        def unit(name: str, shape: tuple[int, ...], prefix: str = prefix) -> Shapes:
            return {f"{prefix}{name}.0.weight": shape} | norm(f"{prefix}{name}.1", shape[0])

        shapes |= unit("base_layer", (width, before, 3, 3))
        shapes |= unit("partial_transition1", (branch, width, 1, 1))
        for index in range(count):
            block = f"stage_layers.{index}"
            if index == 0:
                shapes |= unit(f"{block}.downsample", (branch, width, 1, 1))
            shapes |= norm(f"{prefix}{block}.bn1", before) | norm(f"{prefix}{block}.bn2", branch)
            shapes[f"{prefix}{block}.conv1.weight"] = (before, branch, 1, 1)
            shapes[f"{prefix}{block}.conv2.weight"] = (branch, before, 3, 3)
        shapes |= unit("partial_transition2", (branch, branch, 1, 1))
        shapes |= unit("fuse_transition", (width, 2 * branch, 1, 1))
        before = width
    return shapes


def conv(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm(name: str, channels: int) -> Shapes:
    return {
        f"{name}.{entry}": () if entry == "num_batches_tracked" else (channels,)
        for entry in TRAINED
    }


def frozen_conv(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape} | {f"{name}.norm.{entry}": shape[:1] for entry in FROZEN}


MODELS = {
    "R_50_C5_1x": yolof_shapes(resnet_shapes(R50), in_channels=2048, anchors=5, blocks=4),
    "R_50_DC5_1x": yolof_shapes(resnet_shapes(R50), in_channels=2048, anchors=6, blocks=4),
    "R_101_C5_1x": yolof_shapes(resnet_shapes(R101), in_channels=2048, anchors=5, blocks=4),
    "CSP_D_53_DC5_3x": yolof_shapes(csp_darknet_shapes(), in_channels=1024, anchors=6, blocks=8),
}
"""By the names of the authors' configs."""
