"""From raw predictions to detections in the pixels of the original images."""

from yolov7.modeling.postprocessing.anchor import AnchorPostprocessor
from yolov7.modeling.postprocessing.dense import DensePostprocessor

__all__ = ["AnchorPostprocessor", "DensePostprocessor"]
