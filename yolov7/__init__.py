"""YOLOv7 – Beyond Detection: detection and instance segmentation, one config line per idea."""

__version__ = "0.1.0"
