"""Data set formats: each is read into the same records."""

from yolov7.data.formats.coco import load_coco
from yolov7.data.formats.record import Annotation, Record, clean_for_training, validate_records
from yolov7.data.formats.registry import DatasetFormat, get_format, register_format

__all__ = [
    "Annotation",
    "DatasetFormat",
    "Record",
    "clean_for_training",
    "get_format",
    "load_coco",
    "register_format",
    "validate_records",
]
