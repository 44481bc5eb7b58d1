"""timm's models as feature extractors: construction, maps, and errors in words of the config.

timm takes as long to import as the rest of the framework, so what uses it imports it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.layers import DeformConv2d
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest


@dataclass(frozen=True)
class Family:
    """What a family of timm's models needs to take images of any size.

    Attributes:
        arguments: for the constructor, as (name, value).
        side_multiple: sides of the images must be multiples of it.
        keeps_unused: timm leaves parameters in its models that no map depends on.
    """

    arguments: tuple[tuple[str, Any], ...] = ()
    side_multiple: int = 1
    keeps_unused: bool = False


# By the module of timm that defines the family; those not listed need nothing.
_ANY_SIZE = (("dynamic_img_size", True), ("dynamic_img_pad", True))
FAMILIES = {
    "swin_transformer": Family(arguments=(("strict_img_size", False),), side_multiple=4),
    "swin_transformer_v2": Family(arguments=(("strict_img_size", False),), side_multiple=4),
    "vision_transformer": Family(arguments=_ANY_SIZE),
    "hrnet": Family(keeps_unused=True),
    "efficientvim": Family(keeps_unused=True),
}

# Of a picture, for which no model has a table of positions; multiples of the usual strides.
_ODD_SIZE = (192, 320)


@dataclass(frozen=True)
class FeatureMap:
    """A map that a model can return.

    Attributes:
        name: `c` and the level, the logarithm of the stride that the model has by design: `c2` has
            stride 4, and `c5` stride 32, or 16 where `output_stride` keeps it at that.
        index: what timm calls it; ascends from shallow to deep, and may begin above 0.
        module: name of the module that it comes from.
        stride, channels: of the map.
    """

    name: str
    index: int
    module: str
    stride: int
    channels: int


def family_of(name: str) -> Family:
    """What the model's family needs.

    Args:
        name: a model of timm, with or without a tag for its weights.

    Raises:
        ConfigError: timm has no such model or tag.
    """
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(
            f"MODEL.TIMM.NAME: timm {timm.__version__} has no model '{architecture}'."
            f"{suggest(architecture, timm.list_models())}"
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ConfigError(
            f"MODEL.TIMM.NAME: timm {timm.__version__} has no weights '{tag}' of {architecture}."
            f"{suggest(tag, tags)}"
        )
    module = timm.models.model_entrypoint(architecture).__module__.rpartition(".")[2]
    return FAMILIES.get(module, Family())


def feature_maps(
    name: str, *, output_stride: int = 32, in_channels: int = 3, drop_path: float = 0.0
) -> list[FeatureMap]:
    """All maps of a model, shallow to deep; arguments and errors are `create_features`'."""
    with torch.device("meta"):
        model = create_features(
            name, output_stride=output_stride, in_channels=in_channels, drop_path=drop_path
        )
    info = model.feature_info
    # Levels count from the first map: a map whose stride `output_stride` has reduced stays c5.
    first = round(math.log2(info.reduction()[0]))
    columns = (info.out_indices, info.module_name(), info.reduction(), info.channels())
    return [
        FeatureMap(f"c{first + level}", *of_map)
        for level, of_map in enumerate(zip(*columns, strict=True))
    ]


def names_without_decay(name: str, model: nn.Module) -> set[str]:
    """Parameters of an extractor that timm's recipes exempt from weight decay.

    These are what the model itself names, such as position tables, and vectors that are called
    neither `weight` nor `bias`, such as the scales of residual branches.

    Args:
        name: a model of timm.
        model: what `create_features` has made of it.
    """
    import timm

    parameters = dict(model.named_parameters())
    vectors = {entry for entry, parameter in parameters.items() if parameter.ndim <= 1}
    exempt = {entry for entry in vectors if entry.rpartition(".")[2] not in ("weight", "bias")}
    # The extractor is another module than the classifier that knows the names.
    with torch.device("meta"):
        classifier = timm.create_model(name, **dict(family_of(name).arguments))
    if hasattr(classifier, "no_weight_decay"):
        exempt |= {place_in(parameters, entry) for entry in classifier.no_weight_decay()} - {None}
    return exempt


def convolutions() -> tuple[type[nn.Conv2d], ...]:
    """Classes of timm's convolutions that take weight and bias as they are."""
    from timm.layers import Conv2dSame

    return (nn.Conv2d, Conv2dSame, DeformConv2d)


def deform_stage(model: nn.Module, path: str, name: str) -> None:
    """Make the 3×3 convolutions of a stage deformable, in place; they keep their weights.

    Args:
        model: what `create_features` has made.
        path: of the stage in it.
        name: the model's, for the error message.

    Raises:
        ConfigError: the stage has no such convolutions.
    """
    stage = model.get_submodule(path)
    found = [
        (parent, child, conv)
        for parent in stage.modules()
        for child, conv in parent.named_children()
        if type(conv) is nn.Conv2d and conv.kernel_size == (3, 3) and conv.groups == 1
    ]
    if not found:
        raise ConfigError(
            f"MODEL.TIMM.DEFORMABLE_C5: the last stage of {name} has no 3x3 convolutions that "
            "could be deformable; ResNets and their relatives have"
        )
    for parent, child, conv in found:
        setattr(parent, child, DeformConv2d.like(conv))


def with_offsets_of(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add to pretrained weights what deformable convolutions of the model have besides them."""
    marks = [f"{n}.offsets." for n, m in model.named_modules() if isinstance(m, DeformConv2d)]
    own = {entry: v for entry, v in model.state_dict().items() if entry.startswith(tuple(marks))}
    return {**own, **state}


def unused_parameters(model: nn.Module, name: str, *, in_channels: int) -> list[str]:
    """Parameters that no map depends on, of families that have some.

    Distributed training would wait for their gradients.

    Args:
        model: what `create_features` has made of it, on any device; it is not run there.
        name: a model of timm.
        in_channels: C of the images.
    """
    if not family_of(name).keeps_unused:
        return []
    import timm

    buffers = {n: torch.empty_like(b, device="meta") for n, b in model.named_buffers()}
    parameters = {
        n: torch.empty_like(p, device="meta").requires_grad_() for n, p in model.named_parameters()
    }
    size = timm.get_pretrained_cfg(name).input_size[1:]
    image = torch.empty(1, in_channels, *size, device="meta")
    with torch.enable_grad():
        maps = torch.func.functional_call(model, {**buffers, **parameters}, (image,))
        total = sum(values.sum() for values in maps)
        gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return [entry for entry, x in zip(parameters, gradients, strict=True) if x is None]


def place_in(names: Collection[str], name: str) -> str | None:
    """What a part of timm's model is called in its extractor, which may flatten or wrap the model.

    Args:
        names: those of the extractor's parts.
        name: of the part in the model.

    Returns:
        One of `names`, or None if the extractor lacks the part.
    """
    candidates = (name, name.replace(".", "_", 1), f"model.{name}")
    return next((candidate for candidate in candidates if candidate in names), None)


def create_features(
    name: str,
    *,
    out_indices: tuple[int, ...] | None = None,
    output_stride: int = 32,
    in_channels: int = 3,
    drop_path: float = 0.0,
    pretrained: bool = False,
    weights: str = "",
) -> nn.Module:
    """Build timm's model as (B, C, H, W) -> list of maps.

    Args:
        name: a model of timm.
        out_indices: which maps to return; all by default.
        output_stride: 32, or 16 with convolutions that are dilated where the last stage would
            have halved the resolution.
        in_channels: C of the images.
        drop_path: largest probability with which a residual branch is left out in training.
        pretrained: download weights, or take them from timm's cache.
        weights: a file to take them from instead.

    Raises:
        ConfigError: timm has no such model, or the model cannot do what is asked.
    """
    import timm

    arguments: dict[str, Any] = dict(family_of(name).arguments)
    # Left out where it is the default: not every model knows these arguments.
    if output_stride != 32:
        arguments["output_stride"] = output_stride
    if drop_path:
        arguments["drop_path_rate"] = drop_path
    if out_indices is not None:
        arguments["out_indices"] = out_indices
    if pretrained:
        arguments["pretrained"] = True
    if weights:
        arguments["pretrained_cfg_overlay"] = {"file": weights}
    try:
        model = timm.create_model(name, features_only=True, in_chans=in_channels, **arguments)
    except (TypeError, AssertionError, AttributeError, NotImplementedError) as error:
        keys = {"output_stride": "OUTPUT_STRIDE", "drop_path_rate": "DROP_PATH"}
        asked = [f"MODEL.TIMM.{key}" for argument, key in keys.items() if argument in arguments]
        raise ConfigError(
            f"MODEL.TIMM.NAME: timm cannot build '{name}' as a feature extractor"
            f"{' with ' + ' and '.join(asked) if asked else ''}: {error or type(error).__name__}"
        ) from error
    _drop_after_last_map(model)
    if out_indices is not None:
        arguments.pop("pretrained_cfg_overlay", None)
        arguments["pretrained"] = False
        problem = _problem_with_other_sizes(name, in_channels, tuple(arguments.items()))
        if problem:
            raise ConfigError(
                f"MODEL.TIMM.NAME: detectors see pictures of any size, and {name} {problem}. Take "
                "another model, such as a ResNet, ConvNeXt, Swin or PVTv2"
            )
    return model


@functools.cache
def _problem_with_other_sizes(
    name: str, in_channels: int, arguments: tuple[tuple[str, Any], ...]
) -> str:
    """What is wrong with a model whose maps fit pictures of one size alone, or not a whole picture.

    Args:
        name: a model of timm.
        in_channels: C of the images.
        arguments: those of the features that are asked for, as (name, value).

    Returns:
        words that follow the model's name; "" if nothing is wrong.
    """
    import timm

    with torch.device("meta"), torch.no_grad():
        model = timm.create_model(name, features_only=True, in_chans=in_channels, **dict(arguments))
        try:
            maps = model.eval()(torch.empty(1, in_channels, *_ODD_SIZE))
        except (AssertionError, RuntimeError, ValueError) as error:
            # What needs numbers cannot be judged without them.
            needs_numbers = "meta tensors" in str(error)
            reason = str(error) or type(error).__name__
            return "" if needs_numbers else f"is not built for them: {reason}"
        return _wrong_size(model, maps)


def _wrong_size(model: nn.Module, maps: list[Tensor]) -> str:
    """What is wrong with the sizes of a model's maps of a picture of `_ODD_SIZE`; "" if nothing."""
    is_nhwc = getattr(model, "output_fmt", "NCHW") == "NHWC"
    for stride, values in zip(model.feature_info.reduction(), maps, strict=True):
        found = tuple(values.shape[1:3] if is_nhwc else values.shape[2:])
        wanted = tuple(round(side / stride) for side in _ODD_SIZE)
        if max(abs(cells - right) for cells, right in zip(found, wanted, strict=True)) > 1:
            return (
                f"has a map of {found[0]}x{found[1]} cells of stride {stride} for {_ODD_SIZE[0]}x"
                f"{_ODD_SIZE[1]} pixels, which would be {wanted[0]}x{wanted[1]}"
            )
    return ""


def _drop_after_last_map(model: nn.Module) -> None:
    """Remove blocks that nothing returned comes from: distributed training waits for gradients.

    timm removes whole stages itself; EfficientNets and MobileNets keep all blocks of their chain.
    """
    path = place_in(dict(model.named_modules()), model.feature_info.module_name()[-1]) or ""
    parent, _, last = path.rpartition(".")
    chain = model.get_submodule(parent)
    if isinstance(chain, nn.Sequential):
        blocks = [name for name, _ in chain.named_children()]
        for name in blocks[blocks.index(last) + 1 :]:
            delattr(chain, name)
