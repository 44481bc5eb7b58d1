"""The same data set in three formats gives the same records, also in one training."""

from __future__ import annotations

import json
import uuid

import cv2
import numpy as np
import pytest

from yolov7.config import get_config
from yolov7.d2 import DatasetCatalog
from yolov7.data import build_train_loader, get_metadata, load_records, register_from_config
from yolov7.data.formats.record import xyxy

# Two images of 40 x 80 (height x width) with the boxes (x0, y0, x1, y1) of class 1.
BOXES = {"a #1": (20, 10, 60, 30), "b=2": (0, 0, 80, 40)}


@pytest.fixture
def cfg(tmp_path):
    """A config that registers coco, voc and yolo, all with the same images."""
    images = tmp_path / "images"
    labels = tmp_path / "labels"
    for folder in (images, labels, tmp_path / "xml"):
        folder.mkdir()
    content = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}]
    for number, (name, (x0, y0, x1, y1)) in enumerate(BOXES.items()):
        cv2.imwrite(str(images / f"{name}.png"), np.full((40, 80, 3), 100 * number, np.uint8))
        row = {"id": number, "file_name": f"{name}.png", "height": 40, "width": 80}
        content["images"].append(row)
        box = [x0, y0, x1 - x0, y1 - y0]
        content["annotations"].append(
            {"id": number, "image_id": number, "category_id": 9, "bbox": box, "iscrowd": 0}
        )
        (labels / f"{name}.txt").write_text(
            f"1 {(x0 + x1) / 160} {(y0 + y1) / 80} {(x1 - x0) / 80} {(y1 - y0) / 40}\n"
        )
        (tmp_path / "xml" / f"{name}.xml").write_text(
            "<annotation><size><width>80</width><height>40</height></size><object>"
            f"<name>dog</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object></annotation>"
        )
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    places = {
        "coco": {"ANNOTATIONS": f"{tmp_path}/a.json", "IMAGES": str(images)},
        "voc": {"ANNOTATIONS": f"{tmp_path}/xml", "IMAGES": str(images)},
        "yolo": {"DATA": f"{tmp_path}/data.yaml", "SPLIT": "train"},
    }
    cfg = get_config()
    cfg.DATASETS.REGISTER = [
        {"NAME": f"{name}_{uuid.uuid4()}", "FORMAT": name, **keys} for name, keys in places.items()
    ]
    cfg.DATASETS.CLASS_NAMES = ["cat", "dog"]
    cfg.DATASETS.TRAIN = tuple(entry["NAME"] for entry in cfg.DATASETS.REGISTER)
    cfg.MODEL.YOLO.CLASSES = 2
    cfg.MODEL.DEVICE = "cpu"
    yield cfg
    for name in cfg.DATASETS.TRAIN:
        DatasetCatalog.remove(name)


def test_records_are_the_same(cfg):
    register_from_config(cfg)
    records = load_records(cfg.DATASETS.TRAIN, training=True, class_names=["cat", "dog"])
    assert len(records) == 6
    for place, record in enumerate(records):
        name = ["a #1", "b=2"][place % 2]
        assert record["file_name"].endswith(f"/images/{name}.png")
        assert (record["height"], record["width"]) == (40, 80)
        (annotation,) = record["annotations"]
        assert xyxy(annotation) == list(BOXES[name]) and annotation["category_id"] == 1
    kinds = [get_metadata(name).evaluator_type for name in cfg.DATASETS.TRAIN]
    assert kinds == ["coco", "voc", "coco"]


def test_one_training_takes_all_of_them(cfg):
    cfg.INPUT.INPUT_SIZE = [40, 80]
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.SOLVER.IMS_PER_BATCH = 6
    cfg.SOLVER.MAX_ITER = 1
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    (batch,) = build_train_loader(cfg, seed=0)
    seen = []
    for sample in batch:
        name = sample["file_name"].rsplit("/", 1)[1][:-4]
        boxes = sample["instances"].gt_boxes.tensor.tolist()
        assert boxes == [list(BOXES[name])] and sample["instances"].gt_classes.tolist() == [1]
        seen.append((name, sample["image_id"]))
    assert sorted(seen, key=str) == sorted(
        [
            ("a #1", 0), ("a #1", "a #1"), ("a #1", "images/a #1.png"),
            ("b=2", 1), ("b=2", "b=2"), ("b=2", "images/b=2.png"),
        ],
        key=str,
    )  # fmt: skip
