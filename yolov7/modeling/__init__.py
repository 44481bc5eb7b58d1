"""Detectors and the parts they are built from; importing it fills the registries."""

from yolov7.modeling import (
    assignment,
    backbones,
    box_coders,
    heads,
    losses,
    meta_arch,
    necks,
    postprocessing,
)
from yolov7.modeling.build import (
    build_assigner,
    build_backbone,
    build_box_coder,
    build_criterion,
    build_dense_head,
    build_detector,
    build_head,
    build_neck,
    build_postprocessor,
    find_component,
)
from yolov7.modeling.packing import pack_for_inference
from yolov7.modeling.registries import (
    ASSIGNER_REGISTRY,
    BACKBONE_REGISTRY,
    BOX_CODER_REGISTRY,
    CRITERION_REGISTRY,
    HEAD_REGISTRY,
    LOSS_REGISTRY,
    META_ARCH_REGISTRY,
    NECK_REGISTRY,
    POSTPROCESSOR_REGISTRY,
)
from yolov7.modeling.reparameterization import reparameterize

__all__ = [
    "ASSIGNER_REGISTRY",
    "BACKBONE_REGISTRY",
    "BOX_CODER_REGISTRY",
    "CRITERION_REGISTRY",
    "HEAD_REGISTRY",
    "LOSS_REGISTRY",
    "META_ARCH_REGISTRY",
    "NECK_REGISTRY",
    "POSTPROCESSOR_REGISTRY",
    "assignment",
    "backbones",
    "box_coders",
    "build_assigner",
    "build_backbone",
    "build_box_coder",
    "build_criterion",
    "build_dense_head",
    "build_detector",
    "build_head",
    "build_neck",
    "build_postprocessor",
    "find_component",
    "heads",
    "losses",
    "meta_arch",
    "necks",
    "pack_for_inference",
    "postprocessing",
    "reparameterize",
]
