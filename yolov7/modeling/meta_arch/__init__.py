"""Meta-architectures: the detector, and one recipe a family."""

from yolov7.modeling.meta_arch.anchor_detr import AnchorDETR
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.meta_arch.detr import DETR
from yolov7.modeling.meta_arch.yolof import YOLOF
from yolov7.modeling.meta_arch.yolov4 import YOLOV4
from yolov7.modeling.meta_arch.yolov7 import YOLOV7
from yolov7.modeling.meta_arch.yolox import YOLOX

__all__ = ["DETR", "YOLOF", "YOLOV4", "YOLOV7", "YOLOX", "AnchorDETR", "Detector"]
