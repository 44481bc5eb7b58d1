"""Pairs of functions between raw box regressions and boxes.

A coder is one of the parts that a family chooses: the criterion and the postprocessor hold the
same one. Decoding is done in at least float32, since ``exp`` overflows half precision early.
"""

from yolov7.modeling.box_coders.coder import BoxCoder
from yolov7.modeling.box_coders.yolof import YOLOFBoxCoder
from yolov7.modeling.box_coders.yolov4 import YOLOv4BoxCoder
from yolov7.modeling.box_coders.yolov7 import YOLOv7BoxCoder
from yolov7.modeling.box_coders.yolox import YOLOXBoxCoder

__all__ = ["BoxCoder", "YOLOFBoxCoder", "YOLOXBoxCoder", "YOLOv4BoxCoder", "YOLOv7BoxCoder"]
