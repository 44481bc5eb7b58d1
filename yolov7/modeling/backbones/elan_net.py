"""The backbones of YOLOv7, from tiny to E6E (arXiv:2207.02696)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from yolov7.d2 import BACKBONE_REGISTRY, CfgNode, ShapeSpec, configurable
from yolov7.layers import (
    TRANSITIONS,
    ConvStem,
    FocusStem,
    ModuleFactory,
    NormFactory,
    TransitionFactory,
    elan_block,
    find_activation,
    yolo_batch_norm,
)
from yolov7.modeling.backbones.stages import StagedBackbone, stages_of_strides
from yolov7.modeling.scaling import elan_depth, scaled_width
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect, expect_widths
from yolov7.utils.names import look_up

STEMS: Mapping[str, TransitionFactory] = {
    "convs": ConvStem,
    "reorg": FocusStem,
    "conv": TRANSITIONS["conv"],
}
"""Stems by the name that a config gives them; each halves the resolution."""


@BACKBONE_REGISTRY.register()
class ELANNet(StagedBackbone):
    """A stem of stride 2, then stages: a transition that halves the resolution and an ELAN block.

    Maps images (B, C, H, W), H and W multiples of `size_divisibility`, to the asked ones of
    `stage2`, `stage3` … with strides 4, 8 …. Stages deeper than the last one asked for are not
    built.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int = 3,
        stem: TransitionFactory = ConvStem,
        stem_channels: int = 64,
        transitions: Sequence[TransitionFactory],
        transition_channels: Sequence[int],
        channels: Sequence[int],
        hidden_channels: Sequence[int],
        num_convs: int = 4,
        pick_every: int = 2,
        num_branches: int = 1,
        out_features: Sequence[str] = ("stage3", "stage4", "stage5"),
        activation: ModuleFactory = nn.SiLU,
        norm: NormFactory = yolo_batch_norm,
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the images.
            stem, stem_channels: makes the stem, and its width.
            transitions: make the transition of each stage.
            transition_channels: width after each transition.
            channels: width after each stage.
            hidden_channels: width inside each stage's block.
            num_convs, pick_every: of the blocks, see `ELAN`.
            num_branches: 1 for ELAN, more for E-ELAN.
            out_features: names of the maps to return.
            activation, norm: make these layers.
            freeze_at: see `StagedBackbone.freeze_at`.

        Raises:
            ConfigError: `out_features` has a name that is no stage, the lists differ in length, or
                a transition cannot change the width.
        """
        lengths = [len(x) for x in (transitions, transition_channels, channels, hidden_channels)]
        if len(set(lengths)) != 1:
            raise ConfigError(
                "MODEL.ELAN: TRANSITIONS, TRANSITION_CHANNELS, CHANNELS and HIDDEN_CHANNELS have "
                f"{', '.join(map(str, lengths))} entries; expected one for each stage"
            )
        strides = stage_strides(len(channels))
        super().__init__(
            stage_strides=strides,
            stage_channels=dict(zip(strides, channels, strict=True)),
            out_features=out_features,
        )
        parts = {"norm": norm, "activation": activation}
        self.stem = stem(in_channels, stem_channels, **parts)
        before = stem_channels
        for index, name in enumerate(self.stage_names):
            middle, after = transition_channels[index], channels[index]
            try:
                transition = transitions[index](before, middle, **parts)
            except ValueError as error:
                raise ConfigError(f"MODEL.ELAN.TRANSITIONS[{index}]: {error}") from error
            block = elan_block(
                middle,
                after,
                hidden_channels=hidden_channels[index],
                conv_channels=hidden_channels[index],
                num_convs=num_convs,
                pick_every=pick_every,
                num_branches=num_branches,
                **parts,
            )
            self.add_module(name, nn.Sequential(transition, block))
            before = after
        self.freeze_at(freeze_at)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Layers from `MODEL.ELAN`; `MODEL.YOLO` scales transitions and the depth of blocks."""
        elan = cfg.MODEL.ELAN
        expect(elan.PICK_EVERY >= 1, "MODEL.ELAN.PICK_EVERY", "at least 1", elan.PICK_EVERY)
        stem = elan.STEM_CHANNELS
        expect(stem >= 1, "MODEL.ELAN.STEM_CHANNELS", "at least 1", stem)
        before = expect_widths(elan.TRANSITION_CHANNELS, "MODEL.ELAN.TRANSITION_CHANNELS")
        after = expect_widths(elan.CHANNELS, "MODEL.ELAN.CHANNELS")
        return {
            "in_channels": input_shape.channels,
            "stem": look_up(STEMS, elan.STEM, "MODEL.ELAN.STEM"),
            "stem_channels": scaled_width(cfg, stem),
            "transitions": [
                look_up(TRANSITIONS, name, "MODEL.ELAN.TRANSITIONS") for name in elan.TRANSITIONS
            ],
            "transition_channels": [scaled_width(cfg, width) for width in before],
            "channels": [scaled_width(cfg, width) for width in after],
            "hidden_channels": expect_widths(elan.HIDDEN_CHANNELS, "MODEL.ELAN.HIDDEN_CHANNELS"),
            **elan_depth(cfg),
            "pick_every": elan.PICK_EVERY,
            "out_features": stages_of_strides(
                cfg.MODEL.NECK.IN_STRIDES, stage_strides(len(elan.CHANNELS)), backbone="ELANNet"
            ),
            "activation": find_activation(elan.ACTIVATION, key="MODEL.ELAN.ACTIVATION"),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }


def stage_strides(num_stages: int) -> dict[str, int]:
    """{name: stride} of so many stages: stage2 has stride 4, stage3 stride 8 …."""
    return {f"stage{level}": 2**level for level in range(2, 2 + num_stages)}
