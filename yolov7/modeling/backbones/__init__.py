"""Backbones: images to feature maps."""

from yolov7.modeling.backbones.csp_darknet import CSPDarknet

__all__ = ["CSPDarknet"]
