"""Every backbone under every neck under every head: sizes, operations, latencies of all cells."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from yolov7.analysis.model_statistics import count_parameters, flop_counter
from yolov7.analysis.timing import compare
from yolov7.config import load_config
from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ImageList, Registry, ShapeSpec
from yolov7.layers import pack_convolutions
from yolov7.modeling import NECK_REGISTRY, build_backbone, build_head, build_neck
from yolov7.modeling.reparameterization import reparameterized_copy
from yolov7.utils.resources import resource_root

# Of the families of timm's models that docs and configs name, one or two each.
_TIMM_MODELS = (
    "resnet18", "resnet50", "resnet50d", "res2net50_26w_4s", "swin_tiny_patch4_window7_224",
    "pvt_v2_b0", "pvt_v2_b2", "efficientnet_b0", "efficientnet_b2", "regnetx_004", "regnety_004",
    "convnext_tiny", "mobilenetv3_large_100",
)  # fmt: skip
_DEFORMABLE = "resnet50d"
# Necks that hand on what they get, or one map only.
_OTHER_NECKS = {"DilatedEncoder", "Identity", "Projection"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the cells of a head are built.

    Attributes:
        base: config below `configs/_base_/models`.
        necks: those that fit; None for every pyramid.
    """

    base: str
    necks: tuple[str, ...] | None = None


RECIPES: Mapping[str, Recipe] = {
    "AnchorHead": Recipe("yolov7_classic"),
    "DecoupledAnchorHead": Recipe("yolov7_classic"),
    "DecoupledHead": Recipe("yolox"),
    "YOLOFHead": Recipe("yolof", necks=("DilatedEncoder",)),
}
"""Heads of the matrix."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a part or a cell costs when it is deployed.

    Attributes:
        parameters: their number.
        gflops: as in `PartStatistics`, for one image.
        milliseconds: for one image; None where not measured.
    """

    parameters: int
    gflops: float
    milliseconds: float | None = None

    def __add__(self, other: Cost) -> Cost:
        times = (self.milliseconds, other.milliseconds)
        return Cost(
            self.parameters + other.parameters,
            self.gflops + other.gflops,
            None if None in times else sum(times),
        )


Matrix = Mapping[tuple[str, str, str], Cost]
"""{(backbone, neck, head): cost}."""


def own_entries(registry: Registry) -> list[str]:
    """Names of this project's entries; detectron2's registries may hold others'."""
    return sorted(name for name, entry in registry if entry.__module__.startswith("yolov7."))


def matrix_backbones() -> dict[str, list[str]]:
    """{name in the matrix: options of the config that ask for the backbone}."""
    ours = [name for name in own_entries(BACKBONE_REGISTRY) if name != "TimmBackbone"]
    backbones = {name: ["MODEL.BACKBONE.NAME", name] for name in ours}
    for name in _TIMM_MODELS:
        options = ["MODEL.BACKBONE.NAME", "TimmBackbone", "MODEL.TIMM.NAME", name]
        backbones[name] = options
        if name == _DEFORMABLE:
            backbones[f"{name}, deformable"] = [*options, "MODEL.TIMM.DEFORMABLE_C5", "True"]
    return backbones


def matrix_necks(head: str) -> list[str]:
    """Necks that a head of the matrix stands on."""
    pyramids = [name for name in own_entries(NECK_REGISTRY) if name not in _OTHER_NECKS]
    return list(RECIPES[head].necks or pyramids)


def cell_config(backbone: str, neck: str, head: str) -> CfgNode:
    """The config of a cell: its head's recipe with the options that ask for the parts.

    Args:
        backbone: a key of `matrix_backbones()`.
        neck: of `matrix_necks(head)`.
        head: a key of `RECIPES`.
    """
    file = resource_root() / "configs" / "_base_" / "models" / f"{RECIPES[head].base}.yaml"
    options = [*matrix_backbones()[backbone], "MODEL.NECK.NAME", neck, "MODEL.HEAD.NAME", head]
    fixed = ["MODEL.BACKBONE.PRETRAINED", "False", "MODEL.BACKBONE.FREEZE_AT", "0"]
    return load_config(file, [*options, *fixed, "MODEL.DEVICE", "cpu"])


def measure_matrix(
    backbones: Sequence[str],
    heads: Sequence[str],
    *,
    repeats: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> Matrix:
    """Measure cells; a part is measured once for all cells in which it is the same.

    Args:
        backbones: keys of `matrix_backbones()`.
        heads: keys of `RECIPES`, each with all of its necks.
        repeats: timed runs of each part on the CPU, of which the median counts; 0 for no times.
        report: told what is measured next.

    Returns:
        Sums over the parts, deployed (and packed, for the times), from one picture of
        `INPUT.INPUT_SIZE` in memory to raw predictions.
    """
    matrix: dict[tuple[str, str, str], Cost] = {}
    known: dict[tuple, tuple[Cost, Shapes]] = {}

    def once(key: tuple, build: Callable[[], nn.Module], inputs: Inputs) -> tuple[Cost, Shapes]:
        if key not in known:
            report(" ".join(map(str, key[:2])))
            known[key] = _measure_part(build, inputs, repeats)
        return known[key]

    for head, backbone in itertools.product(heads, backbones):
        for neck in matrix_necks(head):
            cfg = cell_config(backbone, neck, head)
            size, channels = tuple(cfg.INPUT.INPUT_SIZE), len(cfg.MODEL.PIXEL_MEAN)
            image = partial(torch.rand, 1, channels, *size)
            strides = tuple(cfg.MODEL.NECK.IN_STRIDES)
            first, maps = once(
                (backbone, strides), partial(build_backbone, cfg), lambda image=image: (image(),)
            )
            second, levels = once(
                (neck, backbone, maps),
                partial(build_neck, cfg, _specifications(maps)),
                lambda maps=maps, size=size: (_random_maps(maps, size),),
            )
            third, _ = once(
                (head, neck, levels),
                partial(build_head, cfg, _specifications(levels)),
                lambda levels=levels, size=size, image=image: (
                    _random_maps(levels, size),
                    ImageList(image(), [size]),
                ),
            )
            matrix[backbone, neck, head] = first + second + third
    return matrix


Shapes = tuple[tuple[str, int, int], ...]
"""Name, channels and stride of a part's maps; none for heads."""
Inputs = Callable[[], tuple]
"""Makes inputs of a part on the current device."""


@torch.enable_grad()
def _measure_part(
    build: Callable[[], nn.Module], inputs: Inputs, repeats: int
) -> tuple[Cost, Shapes]:
    # Gradients stay on for the counter, see `count_flops`.
    with torch.device("meta"):
        part = build()
        deployed = reparameterized_copy(part)
        with flop_counter() as counter:
            deployed(*inputs())
    milliseconds = None
    if repeats:
        arguments = inputs()
        packed = pack_convolutions(reparameterized_copy(build()), lambda part: part(*arguments))
        with torch.inference_mode():
            timing = compare({"part": lambda: packed(*arguments)}, repeats)
        milliseconds = 1000 * timing["part"]["median_s"]
    cost = Cost(count_parameters(deployed), counter.get_total_flops() / 1e9, milliseconds)
    shapes = part.output_shape() if hasattr(part, "output_shape") else {}
    return cost, tuple((name, shape.channels, shape.stride) for name, shape in shapes.items())


def _random_maps(shapes: Shapes, size: tuple[int, int]) -> dict[str, Tensor]:
    height, width = size
    return {
        name: torch.rand(1, channels, height // stride, width // stride)
        for name, channels, stride in shapes
    }


def _specifications(shapes: Shapes) -> dict[str, ShapeSpec]:
    return {name: ShapeSpec(channels=width, stride=stride) for name, width, stride in shapes}


def matrix_tables(matrix: Matrix) -> str:
    """Lay a matrix out in Markdown: a table for each head, a row for each backbone.

    A cell reads `parameters in millions / GFLOPs / milliseconds`.
    """
    tables = []
    for head in dict.fromkeys(head for _, _, head in matrix):
        necks = list(dict.fromkeys(neck for _, neck, of in matrix if of == head))
        backbones = dict.fromkeys(backbone for backbone, _, of in matrix if of == head)
        rows = [["", *necks], ["---", *["---:"] * len(necks)]]
        for backbone in backbones:
            cells = (_cell(matrix[backbone, neck, head]) for neck in necks)
            rows.append([backbone, *cells])
        lines = [f"| {' | '.join(row)} |" for row in rows]
        tables.append("\n".join([f"### {head}", *lines]))
    return "\n\n".join(tables)


def _cell(cost: Cost) -> str:
    text = f"{cost.parameters / 1e6:.2f} / {cost.gflops:.1f}"
    return text if cost.milliseconds is None else f"{text} / {cost.milliseconds:.0f}"
