"""What backbones made of stages share: a map is the end of a stage and has the stage's stride."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from yolov7.modeling.backbones.partly_frozen import PartlyFrozenBackbone
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect


def choose_stages(
    asked: Sequence[str], stage_strides: Mapping[str, int], *, backbone: str
) -> list[str]:
    """Put the names of stages that are asked for into the order of the stages.

    Args:
        asked: names of stages, at least one.
        stage_strides: {name: stride} of all stages, shallow to deep.
        backbone: its name, for the error message.

    Raises:
        ConfigError: a name is no stage, or none is asked for.
    """
    unknown = [name for name in asked if name not in stage_strides]
    if unknown or not asked:
        raise ConfigError(
            f"{backbone} has the feature maps {', '.join(stage_strides)}; "
            f"asked for: {', '.join(unknown) or 'none'}"
        )
    return [name for name in stage_strides if name in asked]


def stages_of_strides(
    strides: Iterable[int], stage_strides: Mapping[str, int], *, backbone: str
) -> list[str]:
    """Names of the stages that `MODEL.NECK.IN_STRIDES` wants, shallow to deep.

    Args:
        strides: the strides wanted.
        stage_strides: {name: stride} of all stages, shallow to deep.
        backbone: its name, for the error message.

    Raises:
        ConfigError: no stage has one of the strides, or none is wanted.
    """
    strides = list(strides)
    unknown = [stride for stride in strides if stride not in stage_strides.values()]
    if unknown or not strides:
        raise ConfigError(
            f"MODEL.NECK.IN_STRIDES: {backbone} has maps of stride "
            f"{', '.join(map(str, stage_strides.values()))}, not "
            f"{unknown[0] if unknown else 'none'}"
        )
    return [name for name, stride in stage_strides.items() if stride in strides]


class StagedBackbone(PartlyFrozenBackbone):
    """A backbone that is a `stem` and stages in a row, of which some are returned.

    A subclass's constructor calls this one, then sets `stem` and adds a module for each of
    `stage_names`, which end with the deepest stage that is asked for, and calls `freeze_at`.
    """

    stem: nn.Module

    def __init__(
        self,
        *,
        stage_strides: Mapping[str, int],
        stage_channels: Mapping[str, int],
        out_features: Sequence[str],
    ) -> None:
        """
        Args:
            stage_strides, stage_channels: {name: number} of all stages, shallow to deep.
            out_features: names of the maps to return.

        Raises:
            ConfigError: `out_features` has a name that is no stage.
        """
        super().__init__()
        chosen = choose_stages(out_features, stage_strides, backbone=type(self).__name__)
        self._out_features = chosen
        self._out_feature_strides = {name: stage_strides[name] for name in chosen}
        self._out_feature_channels = {name: stage_channels[name] for name in chosen}
        names = list(stage_strides)
        self.stage_names = names[: names.index(chosen[-1]) + 1]
        self._first_level = round(math.log2(stage_strides[names[0]]))

    def freeze_at(self, level: int) -> None:
        """Freeze the first parts, as detectron2 counts them.

        Args:
            level: 0 trains everything; n freezes the stem and the stages whose stride is 2^n or
                less by design.

        Raises:
            ConfigError: there is no such stage.
        """
        deepest = self._first_level + len(self.stage_names) - 1
        wanted = f"0 to {deepest} for {type(self).__name__} as it is used here"
        expect(0 <= level <= deepest, "MODEL.BACKBONE.FREEZE_AT", wanted, level)
        stages = self.stage_names[: max(level - self._first_level + 1, 0)]
        self.freeze(["stem", *stages] if level else [])

    def initialize_weights(self) -> None:
        """Say what makes no sense with random weights, which are all that there are.

        Raises:
            ConfigError: parts would stay frozen at them.
        """
        self.refuse_frozen(type(self).__name__, remedy="give MODEL.WEIGHTS")

    @property
    def size_divisibility(self) -> int:
        """Sides of the images must be multiples of the coarsest stride."""
        return max(self._out_feature_strides.values())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, features = self.stem(images), {}
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            if name in self._out_feature_strides:
                features[name] = x
        return features
