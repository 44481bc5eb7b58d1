"""The data sets that are known by name: where their files are expected and how to get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

_COCO_REMEDY = (
    "Download the images and annotations of COCO 2017 from https://cocodataset.org and unpack "
    "them as datasets/README.md shows."
)
_DIGITS_REMEDY = "Make it in seconds with `yolov7 digits` (`python datasets/digits.py`)."
_VOC_REMEDY = (
    "Download Pascal VOC from http://host.robots.ox.ac.uk/pascal/VOC and unpack it as "
    "datasets/README.md shows."
)
_SOURCE_REMEDY = "See datasets/README.md for its source and the expected folders."


@dataclass(frozen=True)
class BuiltinDataset:
    """A data set with a fixed place under the data set root.

    Attributes:
        name: the name it is registered under.
        format: name of its format.
        values: values of the format's keys, in their order; a path is relative to the root.
        class_names: names in the order of class indices.
        category_ids: the annotations' id of each class; None where they have no ids.
        remedy: what to do when it is not there.
        metadata: further attributes.
    """

    name: str
    format: str
    values: tuple[PurePosixPath | str | None, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...] | None
    remedy: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def _coco_files(annotations: str, images: str) -> tuple[PurePosixPath, PurePosixPath]:
    return PurePosixPath(annotations), PurePosixPath(images)


COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# The ids that COCO reserved for things (1 to 90) and never used in its boxes.
_UNUSED_COCO_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_CATEGORY_IDS = tuple(i for i in range(1, 91) if i not in _UNUSED_COCO_IDS)

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
_VOC_SPLITS = {2007: ("trainval", "train", "val", "test"), 2012: ("trainval", "train", "val")}

_DIGITS = tuple("0123456789")
_BCCD = ("RBC", "WBC", "Platelets")
_FACEMASK = ("mask_weared_incorrect", "with_mask", "without_mask")
_WEARMASK = ("face", "face_mask")

BUILTIN_DATASETS = {
    dataset.name: dataset
    for dataset in (
        *(
            BuiltinDataset(
                f"coco_2017_{split}",
                "coco",
                _coco_files(f"coco/annotations/instances_{split}2017.json", f"coco/{split}2017"),
                COCO_CLASSES,
                COCO_CATEGORY_IDS,
                _COCO_REMEDY,
            )
            for split in ("train", "val")
        ),
        *(
            BuiltinDataset(
                f"digits_{split}",
                "coco",
                _coco_files(f"digits/annotations/{split}.json", f"digits/{split}"),
                _DIGITS,
                tuple(range(1, 11)),
                _DIGITS_REMEDY,
            )
            for split in ("train", "val")
        ),
        *(
            BuiltinDataset(
                f"bccd_{split}",
                "coco",
                _coco_files(f"bccd/annotations/{split}.json", "bccd/images"),
                _BCCD,
                (1, 2, 3),
                _SOURCE_REMEDY,
            )
            for split in ("train", "val", "test")
        ),
        *(
            BuiltinDataset(
                f"facemask_{split}",
                "coco",
                _coco_files(f"facemask/annotations/{split}.json", "facemask/images"),
                _FACEMASK,
                (1, 2, 3),
                _SOURCE_REMEDY,
            )
            for split in ("train", "val")
        ),
        *(
            BuiltinDataset(
                f"wearmask_{split}",
                "coco",
                _coco_files(
                    f"wearmask/annotations/instances_{split}2017.json",
                    f"wearmask/images/{split}2017",
                ),
                _WEARMASK,
                (1, 2),
                _SOURCE_REMEDY,
            )
            for split in ("train", "val")
        ),
        *(
            BuiltinDataset(
                f"voc_{year}_{split}",
                "voc",
                (PurePosixPath(f"VOC{year}"), None, None, split, None),
                VOC_CLASSES,
                None,
                _VOC_REMEDY,
                {"year": year},
            )
            for year, splits in _VOC_SPLITS.items()
            for split in splits
        ),
    )
}
