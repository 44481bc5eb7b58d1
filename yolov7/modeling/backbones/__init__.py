"""Backbones: images to feature maps."""

from yolov7.modeling.backbones.csp_darknet import CSPDarknet
from yolov7.modeling.backbones.darknet import Darknet

__all__ = ["CSPDarknet", "Darknet"]
