"""From one annotation format to another, with an account of what is lost."""

from yolov7.data.conversion.coco_writer import CocoWriter, coco_content
from yolov7.data.conversion.convert import Writer, convert_dataset, copy_image, link_image
from yolov7.data.conversion.report import ConversionReport
from yolov7.data.conversion.source import SourceSplit, read_split
from yolov7.data.conversion.voc_writer import VocWriter
from yolov7.data.conversion.yolo_writer import YoloWriter

__all__ = [
    "CocoWriter",
    "ConversionReport",
    "SourceSplit",
    "VocWriter",
    "Writer",
    "YoloWriter",
    "coco_content",
    "convert_dataset",
    "copy_image",
    "link_image",
    "read_split",
]
