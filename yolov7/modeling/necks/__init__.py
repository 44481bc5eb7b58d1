"""Necks: the maps of a backbone to the maps of a head."""

from yolov7.modeling.necks.bifpn import BiFPN
from yolov7.modeling.necks.csp_pafpn import CSPPAFPN
from yolov7.modeling.necks.darknet_fpn import DarknetFPN
from yolov7.modeling.necks.dilated_encoder import DilatedEncoder
from yolov7.modeling.necks.elan_pafpn import ELANPAFPN
from yolov7.modeling.necks.features import pyramid_name, select_by_stride, tap_name
from yolov7.modeling.necks.fpn import FPN
from yolov7.modeling.necks.identity import Identity
from yolov7.modeling.necks.pafpn import PAFPN
from yolov7.modeling.necks.ppyolo_pan import PPYOLOPAN
from yolov7.modeling.necks.projection import Projection
from yolov7.modeling.necks.tiny_fpn import TinyFPN

__all__ = [
    "CSPPAFPN",
    "ELANPAFPN",
    "FPN",
    "PAFPN",
    "PPYOLOPAN",
    "BiFPN",
    "DarknetFPN",
    "DilatedEncoder",
    "Identity",
    "Projection",
    "TinyFPN",
    "pyramid_name",
    "select_by_stride",
    "tap_name",
]
