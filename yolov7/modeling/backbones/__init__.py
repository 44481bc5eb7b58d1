"""Backbones: images to feature maps."""

from yolov7.modeling.backbones.csp_darknet import CSPDarknet
from yolov7.modeling.backbones.darknet import Darknet
from yolov7.modeling.backbones.elan_net import ELANNet

__all__ = ["CSPDarknet", "Darknet", "ELANNet"]
