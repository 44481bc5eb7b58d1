"""Necks: the maps of a backbone to the maps of a head."""

from yolov7.modeling.necks.csp_pafpn import CSPPAFPN
from yolov7.modeling.necks.darknet_fpn import DarknetFPN
from yolov7.modeling.necks.features import pyramid_name, select_by_stride
from yolov7.modeling.necks.identity import Identity

__all__ = ["CSPPAFPN", "DarknetFPN", "Identity", "pyramid_name", "select_by_stride"]
