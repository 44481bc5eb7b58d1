"""From names in a config to parts of a detector, with an error that helps for names not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from yolov7.d2 import Backbone, CfgNode, Registry, ShapeSpec, build_model
from yolov7.d2 import build_backbone as build_registered_backbone
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.registries import (
    ASSIGNER_REGISTRY,
    BACKBONE_REGISTRY,
    BOX_CODER_REGISTRY,
    CRITERION_REGISTRY,
    HEAD_REGISTRY,
    META_ARCH_REGISTRY,
    NECK_REGISTRY,
    POSTPROCESSOR_REGISTRY,
)
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect
from yolov7.utils.names import suggest


def find_component(registry: Registry, name: str, key: str) -> Any:
    """Look a component up in its table.

    Args:
        registry: the table.
        name: the name to find.
        key: the config key that holds the name, for the error message.

    Raises:
        ConfigError: the table has no such name; the message suggests the nearest one.
    """
    if name not in registry:
        known = [entry for entry, _ in registry]
        raise ConfigError(f"{key}: there is no '{name}'.{suggest(name, known)}")
    return registry.get(name)


def build_detector(cfg: CfgNode) -> nn.Module:
    """Build the meta-architecture `MODEL.META_ARCHITECTURE` on `MODEL.DEVICE`."""
    find_component(META_ARCH_REGISTRY, cfg.MODEL.META_ARCHITECTURE, "MODEL.META_ARCHITECTURE")
    return build_model(cfg)


def build_backbone(cfg: CfgNode) -> Backbone:
    """Build the backbone `MODEL.BACKBONE.NAME` for images of `len(MODEL.PIXEL_MEAN)` channels."""
    find_component(BACKBONE_REGISTRY, cfg.MODEL.BACKBONE.NAME, "MODEL.BACKBONE.NAME")
    return build_registered_backbone(cfg)


def build_neck(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> nn.Module:
    """Build the neck `MODEL.NECK.NAME` on a backbone's `output_shape()`."""
    return find_component(NECK_REGISTRY, cfg.MODEL.NECK.NAME, "MODEL.NECK.NAME")(cfg, input_shape)


def build_head(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> nn.Module:
    """Build the head `MODEL.HEAD.NAME` on a neck's `output_shape()`."""
    return find_component(HEAD_REGISTRY, cfg.MODEL.HEAD.NAME, "MODEL.HEAD.NAME")(cfg, input_shape)


def refuse_auxiliary_head(cfg: CfgNode, *, because: str = "") -> None:
    """Make sure that no auxiliary head is asked for where the family would leave it out.

    Args:
        cfg: the config.
        because: why the family has none, added to its name.

    Raises:
        ConfigError: `MODEL.AUXILIARY_HEAD.CHANNELS` has widths.
    """
    widths = cfg.MODEL.AUXILIARY_HEAD.CHANNELS
    wanted = f"[] for META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE}{because}"
    expect(not widths, "MODEL.AUXILIARY_HEAD.CHANNELS", wanted, widths)


def build_dense_head(
    cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], *, with_anchors: bool
) -> nn.Module:
    """Build the head `MODEL.HEAD.NAME`, which must be dense and of the kind that a family reads.

    Args:
        cfg: the config.
        input_shape: a neck's `output_shape()`.
        with_anchors: whether the head's class must have `anchors`, or must not.

    Raises:
        ConfigError: there is none of this name, or it is of another kind.
    """
    name, key = cfg.MODEL.HEAD.NAME, "MODEL.HEAD.NAME"
    wanted = _DENSE_KINDS[with_anchors]
    kind = _kind_of_head(find_component(HEAD_REGISTRY, name, key))
    if kind != wanted:
        fitting = [entry for entry, part in HEAD_REGISTRY if _kind_of_head(part) == wanted]
        raise ConfigError(
            f"{key}: META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE} reads {wanted}, and {name} "
            f"predicts {kind}. Fitting: {', '.join(sorted(fitting))}"
        )
    return build_head(cfg, input_shape)


_DENSE_KINDS = ("boxes without anchors", "boxes around anchors")


def _kind_of_head(head: type[nn.Module]) -> str:
    """What it predicts, by attributes of its class: `of_queries`, `has_objectness`, `anchors`."""
    if getattr(head, "of_queries", False):
        return "queries"
    if not getattr(head, "has_objectness", True):
        return "boxes without objectness"
    return _DENSE_KINDS[hasattr(head, "anchors")]


def build_box_coder(
    cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], *, default: str, with_anchors: bool
) -> BoxCoder:
    """Build the box coder `MODEL.BOX_CODER.NAME`, or the family's own when the key is empty.

    Args:
        cfg: the config.
        input_shape: of the head.
        default: name of the family's own.
        with_anchors: whether the head has anchors, from which the coder then counts.

    Raises:
        ConfigError: there is none of this name, or it is for the other kind of heads.
    """
    name, key = cfg.MODEL.BOX_CODER.NAME or default, "MODEL.BOX_CODER.NAME"
    coder = find_component(BOX_CODER_REGISTRY, name, key)
    if coder.uses_anchors != with_anchors:
        fitting = [entry for entry, part in BOX_CODER_REGISTRY if part.uses_anchors == with_anchors]
        kinds = ("without anchors", "with anchors")
        raise ConfigError(
            f"{key}: {name} is for heads {kinds[coder.uses_anchors]}, and {cfg.MODEL.HEAD.NAME} "
            f"is one {kinds[with_anchors]}. Fitting: {', '.join(sorted(fitting))}"
        )
    return coder(cfg, input_shape)


def build_assigner(cfg: CfgNode, *, of_queries: bool = False) -> Any:
    """Build the assigner `MODEL.ASSIGNER.NAME`.

    Args:
        cfg: the config.
        of_queries: whether it is to match queries, or dense predictions.

    Raises:
        ConfigError: there is none of this name, or it is for the other kind.
    """
    name = cfg.MODEL.ASSIGNER.NAME
    return _fitting(ASSIGNER_REGISTRY, name, "MODEL.ASSIGNER.NAME", of_queries=of_queries)(cfg)


def build_criterion(cfg: CfgNode, *, of_queries: bool = False, **parts: Any) -> nn.Module:
    """Build the criterion `MODEL.CRITERION.NAME`, which builds its own assigner and losses.

    Args:
        cfg: the config.
        of_queries: whether it is to compare queries, or dense predictions.
        parts: what the family decides instead of a key, such as `box_coder`.

    Raises:
        ConfigError: there is none of this name, or it is for the other kind.
    """
    name, key = cfg.MODEL.CRITERION.NAME, "MODEL.CRITERION.NAME"
    return _fitting(CRITERION_REGISTRY, name, key, of_queries=of_queries)(cfg, **parts)


def build_dense_criterion(cfg: CfgNode, head: nn.Module, *, box_coder: BoxCoder) -> nn.Module:
    """Build the criterion of a dense head, which must predict what criterion and assigner read.

    Args:
        cfg: the config.
        head: with `anchors` or without; its class may say `has_objectness = False`.
        box_coder: of the head.

    Raises:
        ConfigError: there is no criterion or assigner of this name, it wants anchors or objectness
            that the head does not predict, it would leave an objectness untrained, or there is not
            one number of `MODEL.CRITERION.LEVEL_BALANCE` for each level of anchors.
    """
    criterion = build_criterion(cfg, box_coder=box_coder)
    has_objectness = getattr(head, "has_objectness", True)

    def compares(part: type) -> bool:
        return getattr(part, "reads_objectness", True) == has_objectness

    def assigns(part: type) -> bool:
        lacks_anchors = getattr(part, "needs_anchors", False) and not hasattr(head, "anchors")
        lacks_objectness = getattr(part, "needs_objectness", False) and not has_objectness
        return not (lacks_anchors or lacks_objectness)

    _expect_fitting(cfg, "CRITERION", CRITERION_REGISTRY, compares)
    # A criterion of one's own may do without.
    if hasattr(criterion, "assigner"):
        _expect_fitting(cfg, "ASSIGNER", ASSIGNER_REGISTRY, assigns)
    balance, anchors = getattr(criterion, "level_balance", None), getattr(head, "anchors", ())
    if balance is not None and len(anchors):
        wanted = f"{len(anchors)} numbers, one for each level of the head, finest first"
        fits = len(balance) == len(anchors)
        expect(fits, "MODEL.CRITERION.LEVEL_BALANCE", wanted, list(balance))
    return criterion


def _expect_fitting(
    cfg: CfgNode, section: str, registry: Registry, fits: Callable[[type], bool]
) -> None:
    name = cfg.MODEL[section].NAME
    if fits(registry.get(name)):
        return
    dense = [(entry, part) for entry, part in registry if not getattr(part, "of_queries", False)]
    fitting = sorted(entry for entry, part in dense if fits(part))
    head = cfg.MODEL.HEAD.NAME
    kind = _kind_of_head(HEAD_REGISTRY.get(head))
    raise ConfigError(
        f"MODEL.{section}.NAME: {name} is for other heads than {head}, which predicts {kind}. "
        f"Fitting: {', '.join(fitting)}"
    )


def _fitting(registry: Registry, name: str, key: str, *, of_queries: bool) -> Any:
    """`find_component`, which must be for the wanted kind of predictions.

    A class whose `of_queries` is True is for queries, all others are for dense predictions.
    """
    found = find_component(registry, name, key)
    if getattr(found, "of_queries", False) != of_queries:
        fitting = [
            entry for entry, part in registry if getattr(part, "of_queries", False) == of_queries
        ]
        kinds = ("queries", "dense predictions")
        wanted, other = kinds if of_queries else kinds[::-1]
        raise ConfigError(
            f"{key}: {name} is for {other}, and the model's are {wanted}. Fitting: "
            f"{', '.join(sorted(fitting))}"
        )
    return found


def build_postprocessor(cfg: CfgNode, name: str = "DensePostprocessor", **parts: Any) -> Any:
    """Build a postprocessor; which one follows from the family's predictions, not from a key.

    Args:
        cfg: the config.
        name: its name in `POSTPROCESSOR_REGISTRY`.
        parts: what the family decides instead of a key, such as `box_coder`.
    """
    return find_component(POSTPROCESSOR_REGISTRY, name, "postprocessor")(cfg, **parts)
