"""Tables of the parts a detector is built from; a config names an entry, `build.py` looks it up.

Entries are classes (or functions) called with the config; a class takes explicit keyword arguments
as well, see `yolov7.d2.configurable`. Meta-architectures and backbones live in detectron2's own
tables, so that each project sees the other's.
"""

from __future__ import annotations

from yolov7.d2 import BACKBONE_REGISTRY, META_ARCH_REGISTRY, Registry

__all__ = [
    "ASSIGNER_REGISTRY",
    "BACKBONE_REGISTRY",
    "BOX_CODER_REGISTRY",
    "CRITERION_REGISTRY",
    "GUIDANCE_REGISTRY",
    "HEAD_REGISTRY",
    "LOSS_REGISTRY",
    "META_ARCH_REGISTRY",
    "NECK_REGISTRY",
    "POSTPROCESSOR_REGISTRY",
]

NECK_REGISTRY = Registry("NECK")
"""Called `neck(cfg, input_shape)` with the backbone's {name: ShapeSpec}."""

HEAD_REGISTRY = Registry("HEAD")
"""Called `head(cfg, input_shape)` with the neck's {name: ShapeSpec}."""

BOX_CODER_REGISTRY = Registry("BOX_CODER")
"""Called `box_coder(cfg, input_shape)` with the head's {name: ShapeSpec}."""

ASSIGNER_REGISTRY = Registry("ASSIGNER")
"""Called `assigner(cfg)`."""

CRITERION_REGISTRY = Registry("CRITERION")
"""Called `criterion(cfg)`."""

GUIDANCE_REGISTRY = Registry("GUIDANCE")
"""Called `guidance(cfg, box_coder=...)`: what an auxiliary head learns from."""

POSTPROCESSOR_REGISTRY = Registry("POSTPROCESSOR")
"""Called `postprocessor(cfg)`."""

LOSS_REGISTRY = Registry("LOSS")
"""Element-wise loss functions, named by `MODEL.CRITERION.*_LOSS`; looked up, not called."""
