"""Pictures of labels, detections and training runs."""

from yolov7.visualization.colors import class_color
from yolov7.visualization.draw import draw_boxes, draw_masks, image_grid
from yolov7.visualization.plots import plot_label_statistics, plot_training_curves
from yolov7.visualization.visualizer import Visualizer

__all__ = [
    "Visualizer",
    "class_color",
    "draw_boxes",
    "draw_masks",
    "image_grid",
    "plot_label_statistics",
    "plot_training_curves",
]
