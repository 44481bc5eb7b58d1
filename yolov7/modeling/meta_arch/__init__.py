"""Meta-architectures: the detector, and one recipe a family."""

from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.meta_arch.yolox import YOLOX

__all__ = ["YOLOX", "Detector"]
