"""The registries of whole models and of backbones, and how a config picks from them."""

from __future__ import annotations

import torch
from fvcore.common.registry import Registry
from torch import nn

from yolov7.d2.embedded.backbone import Backbone
from yolov7.d2.embedded.cfg_node import CfgNode
from yolov7.d2.embedded.shape_spec import ShapeSpec

# Entries are called with (cfg) and return the model.
META_ARCH_REGISTRY = Registry("META_ARCH")

# Entries are called with (cfg, input_shape: ShapeSpec) and return a Backbone.
BACKBONE_REGISTRY = Registry("BACKBONE")


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the model that `MODEL.META_ARCHITECTURE` names, on `MODEL.DEVICE`, with new weights.

    Raises:
        KeyError: no such model is registered.
    """
    model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(torch.device(cfg.MODEL.DEVICE))


def build_backbone(cfg: CfgNode, input_shape: ShapeSpec | None = None) -> Backbone:
    """Build the backbone that `MODEL.BACKBONE.NAME` names.

    Args:
        input_shape: shape of the images; by default as many channels as `MODEL.PIXEL_MEAN`.

    Raises:
        KeyError: no such backbone is registered.
        AssertionError: the registered object did not return a `Backbone`.
    """
    if input_shape is None:
        input_shape = ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN))
    name = cfg.MODEL.BACKBONE.NAME
    backbone = BACKBONE_REGISTRY.get(name)(cfg, input_shape)
    if not isinstance(backbone, Backbone):
        raise AssertionError(f"'{name}' built a {type(backbone).__name__}, expected a Backbone.")
    return backbone
