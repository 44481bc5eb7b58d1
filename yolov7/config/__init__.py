"""Configuration: detectron2's keys, ours beside them, and the one door through which files come."""

from yolov7.config.defaults import add_yolo_config, get_config
from yolov7.config.honoured import changed_but_not_honoured
from yolov7.config.lazy import is_lazy_config, load_lazy_config
from yolov7.config.load import load_config

__all__ = [
    "add_yolo_config",
    "changed_but_not_honoured",
    "get_config",
    "is_lazy_config",
    "load_config",
    "load_lazy_config",
]
