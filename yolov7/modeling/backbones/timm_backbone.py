"""Any model of timm that returns maps, as a backbone: ResNet, Swin, PVT, EfficientNet …."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import FrozenBatchNorm2d, fold_batch_norms, freeze_batch_norms
from yolov7.modeling.backbones.partly_frozen import PartlyFrozenBackbone
from yolov7.modeling.backbones.timm_models import (
    FeatureMap,
    convolutions,
    create_features,
    deform_stage,
    family_of,
    feature_maps,
    names_without_decay,
    place_in,
    unused_parameters,
    with_offsets_of,
)
from yolov7.modeling.backbones.timm_weights import pretrained_state
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import look_up

logger = logging.getLogger(__name__)


def keep_norms(model: nn.Module) -> nn.Module:
    """Leave the normalisation of a model as it is."""
    return model


NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "": keep_norms,
    "FrozenBN": freeze_batch_norms,
}


@BACKBONE_REGISTRY.register()
class TimmBackbone(PartlyFrozenBackbone):
    """A model of timm (github.com/huggingface/pytorch-image-models) without its classifier.

    Maps images (B, C, H, W) of any size to the maps of the asked strides, named by their level:
    `c3`, `c4`, `c5` for strides 8, 16, 32. Where a side is no multiple of the stride, a map has the
    rounded-up or the rounded-down number of cells, as the model's layers give it.

    The model is `body`, and below it ResNets have torchvision's names of weights. Building one
    never downloads; `initialize_weights` does, which a fresh training calls.
    """

    @configurable
    def __init__(
        self,
        *,
        name: str,
        strides: Sequence[int] = (8, 16, 32),
        in_channels: int = 3,
        output_stride: int = 32,
        drop_path: float = 0.0,
        deformable: bool = False,
        convert_norms: Callable[[nn.Module], nn.Module] = keep_norms,
        freeze_at: int = 0,
        pretrained: bool = False,
        weights: str = "",
    ) -> None:
        """
        Args:
            name: a model of timm; a tag, as in `resnet50.tv_in1k`, chooses pretrained weights.
            strides: of the maps to return. Where several maps have one, the deepest is taken.
            in_channels: C.
            output_stride: 32, or 16 for a last stage that is dilated instead of strided (DC5).
            drop_path: largest probability with which a residual branch is left out in training.
            deformable: make the 3×3 convolutions of the last stage, that of `c5`, deformable.
            convert_norms: exchanges the normalisation layers of the model.
            freeze_at: 0 trains everything, n freezes what leads to map `cn` and the map itself;
                1, for models that begin with `c2`, what comes before the stage of `c2`.
            pretrained: a fresh training starts from timm's pretrained weights.
            weights: a file of them, instead of a download.

        Raises:
            ConfigError: timm has no such model, or it lacks a stride or an option that is asked.
        """
        super().__init__()
        arguments = {
            "output_stride": output_stride, "in_channels": in_channels, "drop_path": drop_path,
        }  # fmt: skip
        maps = feature_maps(name, **arguments)
        chosen = _of_strides(maps, strides, name)
        self._out_features = [feature.name for feature in chosen]
        self._out_feature_strides = {feature.name: feature.stride for feature in chosen}
        self._out_feature_channels = {feature.name: feature.channels for feature in chosen}

        indices = tuple(feature.index for feature in chosen)
        self._arguments = {"name": name, "out_indices": indices, **arguments}
        body = create_features(**self._arguments)
        self._channels_last = getattr(body, "output_fmt", "NCHW") == "NHWC"
        self._side_multiple = family_of(name).side_multiple
        if deformable:
            deform_stage(body, _last_stage(body, chosen[-1], name), name)
        self.body = convert_norms(body)
        if convert_norms is freeze_batch_norms and not _has(body, FrozenBatchNorm2d):
            raise ConfigError(
                f"MODEL.TIMM.NORM: {name} has no batch norm to freeze; leave it empty"
            )
        built = [feature for feature in maps if feature.index <= chosen[-1].index]
        self.freeze(f"body.{path}" for path in _leading_to(self.body, built, freeze_at, name))
        for unused in unused_parameters(self.body, name, in_channels=in_channels):
            self.body.get_parameter(unused).requires_grad_(False)

        if weights and not pretrained:
            raise ConfigError(
                f"MODEL.TIMM.WEIGHTS names {weights}, which is read only with "
                "MODEL.BACKBONE.PRETRAINED True"
            )
        self._pretrained, self._weights = pretrained, weights
        self._needs_weights = pretrained

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """What to build from `MODEL.TIMM`, strides from `MODEL.NECK.IN_STRIDES`."""
        timm_cfg = cfg.MODEL.TIMM
        return {
            "name": timm_cfg.NAME,
            "strides": cfg.MODEL.NECK.IN_STRIDES,
            "in_channels": input_shape.channels,
            "output_stride": timm_cfg.OUTPUT_STRIDE,
            "drop_path": timm_cfg.DROP_PATH,
            "deformable": timm_cfg.DEFORMABLE_C5,
            "convert_norms": look_up(NORMS, timm_cfg.NORM, "MODEL.TIMM.NORM"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "pretrained": cfg.MODEL.BACKBONE.PRETRAINED,
            "weights": timm_cfg.WEIGHTS,
        }

    def initialize_weights(self) -> None:
        """Load the pretrained weights, if asked for; where not, say what is wrong with that.

        Raises:
            ConfigError: random weights would stay frozen.
            WeightsError: see `pretrained_state`.
        """
        name = self._arguments["name"]
        if self._pretrained:
            state = pretrained_state(weights=self._weights, **self._arguments)
            self.body.load_state_dict(with_offsets_of(self.body, state))
            self._needs_weights = False
            return
        remedy = "set MODEL.BACKBONE.PRETRAINED True"
        self.refuse_frozen(name, remedy=remedy)
        if _has(self.body, FrozenBatchNorm2d):
            logger.warning(
                "Frozen batch norms of %s do nothing for random weights: %s, or MODEL.TIMM.NORM "
                "to ''.", name, remedy,
            )  # fmt: skip
        if any("attention" in type(module).__name__.lower() for module in self.body.modules()):
            logger.warning(
                "%s starts from random weights; transformers hardly learn detection that way: %s.",
                name, remedy,
            )  # fmt: skip

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if self.training and self._needs_weights:
            self._needs_weights = False
            logger.warning(
                "MODEL.BACKBONE.PRETRAINED is True, but %s trains from random weights: nothing "
                "has called initialize_weights() or loaded a checkpoint.", self._arguments["name"],
            )  # fmt: skip
        height, width = images.shape[-2:]
        below, right = -height % self._side_multiple, -width % self._side_multiple
        if below or right:
            images = F.pad(images, (0, right, 0, below))
        maps = self.body(images)
        if self._channels_last:
            maps = [values.permute(0, 3, 1, 2).contiguous() for values in maps]
        return dict(zip(self._out_features, maps, strict=True))

    def no_weight_decay(self) -> set[str]:
        """Parameters without weight decay, as timm's own recipes have it."""
        exempt = names_without_decay(self._arguments["name"], self.body)
        return {f"body.{name}" for name in exempt}

    def to_deploy(self) -> TimmBackbone:
        """Fold batch norms into convolutions; see `yolov7.modeling.reparameterization`."""
        weight = next(self.body.parameters())
        side = 2 * max(self._out_feature_strides.values())
        example = weight.new_zeros(1, self._arguments["in_channels"], side, side)
        fold_batch_norms(self.body, example, convolutions=convolutions())
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        self._needs_weights = False
        super()._load_from_state_dict(*args)


def _of_strides(maps: list[FeatureMap], strides: Sequence[int], name: str) -> list[FeatureMap]:
    deepest = {feature.stride: feature for feature in maps}
    missing = [stride for stride in strides if stride not in deepest]
    if missing or not strides:
        have = ", ".join(str(stride) for stride in deepest)
        raise ConfigError(
            f"MODEL.NECK.IN_STRIDES: {name} has maps of stride {have}, not "
            f"{missing[0] if missing else 'none'}"
        )
    return sorted((deepest[stride] for stride in set(strides)), key=lambda feature: feature.index)


def _leading_to(body: nn.Module, maps: list[FeatureMap], level: int, name: str) -> Iterator[str]:
    """Names of the modules that map `c<level>` goes through, in the order of timm's registration.

    Args:
        body: the model.
        maps: those that `body` was built for, and all shallower ones.
        level: see `TimmBackbone`'s `freeze_at`.
        name: the model's, for the error message.
    """
    if level == 0:
        return
    only_stem = level == 1 and maps[0].name == "c2"
    by_name = {feature.name: feature for feature in maps}
    target = maps[0] if only_stem else by_name.get(f"c{level}")
    path = target and place_in(dict(body.named_modules()), target.module)
    if path is None:
        levels = [feature.name.removeprefix("c") for feature in maps]
        stem = ["1"] if maps[0].name == "c2" else []
        raise ConfigError(
            f"MODEL.BACKBONE.FREEZE_AT: {name} as it is used here can be frozen at 0 (nothing), "
            f"{', '.join(stem + levels)}, not {level}"
        )
    prefix = ""
    for part in path.split("."):
        for child, _ in body.get_submodule(prefix.removesuffix(".")).named_children():
            if child == part:
                break
            yield prefix + child
        prefix += f"{part}."
    if not only_stem:
        yield path


def _last_stage(body: nn.Module, deepest: FeatureMap, name: str) -> str:
    """Name of the module that map `c5` comes from."""
    path = place_in(dict(body.named_modules()), deepest.module)
    if deepest.name != "c5" or path is None:
        raise ConfigError(
            f"MODEL.TIMM.DEFORMABLE_C5: the deepest map that is taken of {name} is {deepest.name}; "
            "MODEL.NECK.IN_STRIDES must have its coarsest stride"
        )
    return path


def _has(model: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in model.modules())
