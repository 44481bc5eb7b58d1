"""Backbones: images to feature maps."""

from yolov7.modeling.backbones.csp_darknet import CSPDarknet
from yolov7.modeling.backbones.csp_darknet53 import CSPDarknet53
from yolov7.modeling.backbones.csp_darknet_tiny import CSPDarknetTiny
from yolov7.modeling.backbones.darknet import Darknet
from yolov7.modeling.backbones.elan_net import ELANNet
from yolov7.modeling.backbones.resnet import ResNet
from yolov7.modeling.backbones.timm_backbone import TimmBackbone

__all__ = [
    "CSPDarknet",
    "CSPDarknet53",
    "CSPDarknetTiny",
    "Darknet",
    "ELANNet",
    "ResNet",
    "TimmBackbone",
]
