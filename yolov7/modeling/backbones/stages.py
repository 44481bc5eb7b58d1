"""What backbones made of stages share: a map is the end of a stage and has the stage's stride."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from yolov7.utils.errors import ConfigError


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
        ConfigError: no stage has one of the strides.
    """
    strides = list(strides)
    unknown = [stride for stride in strides if stride not in stage_strides.values()]
    if unknown:
        raise ConfigError(
            f"MODEL.NECK.IN_STRIDES: {backbone} has maps of stride "
            f"{', '.join(map(str, stage_strides.values()))}, not {unknown[0]}"
        )
    return [name for name, stride in stage_strides.items() if stride in strides]
