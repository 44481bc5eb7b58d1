"""Pictures of labels, detections and training runs."""

from yolov7.visualization.colors import class_color
from yolov7.visualization.comparison import JudgedBoxes, Verdict, draw_comparison
from yolov7.visualization.draw import add_caption, draw_boxes, draw_masks, image_grid
from yolov7.visualization.evaluation_plots import (
    plot_confusion_matrix,
    plot_f1,
    plot_precision_recall,
)
from yolov7.visualization.picture_file import write_picture
from yolov7.visualization.plots import (
    plot_anchors,
    plot_label_statistics,
    plot_training_curves,
)
from yolov7.visualization.visualizer import Visualizer

__all__ = [
    "JudgedBoxes",
    "Verdict",
    "Visualizer",
    "add_caption",
    "class_color",
    "draw_boxes",
    "draw_comparison",
    "draw_masks",
    "image_grid",
    "plot_anchors",
    "plot_confusion_matrix",
    "plot_f1",
    "plot_label_statistics",
    "plot_precision_recall",
    "plot_training_curves",
    "write_picture",
]
