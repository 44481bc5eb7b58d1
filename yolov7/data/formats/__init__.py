"""Data set formats: each is read into the same records."""

from yolov7.data.formats.coco import load_coco
from yolov7.data.formats.record import Annotation, Record, clean_for_training, validate_records
from yolov7.data.formats.registry import DatasetFormat, get_format, register_format
from yolov7.data.formats.voc import load_voc
from yolov7.data.formats.yolo import load_yolo

__all__ = [
    "Annotation",
    "DatasetFormat",
    "Record",
    "clean_for_training",
    "get_format",
    "load_coco",
    "load_voc",
    "load_yolo",
    "register_format",
    "validate_records",
]
