"""From raw predictions to detections in the pixels of the original images."""

from yolov7.modeling.postprocessing.anchor import AnchorPostprocessor
from yolov7.modeling.postprocessing.dense import DensePostprocessor
from yolov7.modeling.postprocessing.query import QueryPostprocessor

__all__ = ["AnchorPostprocessor", "DensePostprocessor", "QueryPostprocessor"]
