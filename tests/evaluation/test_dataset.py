"""Data sets without a json file evaluate like the same data set with one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import Boxes, DatasetCatalog, Instances, MetadataCatalog
from yolov7.data import load_records, register_from_config
from yolov7.data.conversion import (
    CocoWriter,
    VocWriter,
    YoloWriter,
    convert_dataset,
    link_image,
    read_split,
)
from yolov7.evaluation import COCOEvaluator
from yolov7.evaluation.dataset import load_evaluated_dataset

CLASSES = ["cat", "dog", "emu"]


@pytest.fixture
def register():
    names = []

    def register(entry: dict) -> str:
        name = f"evaluation_dataset_test_{len(names)}"
        cfg = get_config()
        cfg.DATASETS.REGISTER = [{"NAME": name, **entry}]
        cfg.DATASETS.CLASS_NAMES = CLASSES
        register_from_config(cfg)
        names.append(name)
        return name

    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def source(register, tmp_path):
    """A YOLO data set of six images of different sizes with random boxes, some images empty."""
    rng = np.random.default_rng(3)
    for folder in ("images", "labels"):
        (tmp_path / "source" / folder).mkdir(parents=True)
    for number in range(6):
        size = (40 + 8 * number, 100 - 3 * number, 3)
        cv2.imwrite(str(tmp_path / f"source/images/{number}.png"), np.zeros(size, np.uint8))
        lines = [
            f"{rng.integers(3)} {rng.uniform(0.3, 0.7)} {rng.uniform(0.3, 0.7)} "
            f"{rng.uniform(0.1, 0.6)} {rng.uniform(0.1, 0.6)}\n"
            for _ in range(number)
        ]
        (tmp_path / f"source/labels/{number}.txt").write_text("".join(lines))
    (tmp_path / "source/data.yaml").write_text(f"val: images\nnames: {CLASSES}\n")
    return register({"FORMAT": "yolo", "DATA": f"{tmp_path}/source/data.yaml", "SPLIT": "val"})


def detections(record: dict) -> Instances:
    """Boxes near the objects, with some wrong classes; the same for the same file name."""
    rng = np.random.default_rng(int(record["file_name"].rsplit("/", 1)[1][0]))
    boxes, classes = [], []
    for annotation in record["annotations"]:
        x0, y0, a, b = annotation["bbox"]
        if annotation["bbox_mode"] == 1:
            a, b = x0 + a, y0 + b
        boxes.append(np.array([x0, y0, a, b]) + rng.normal(0, 2, 4))
        classes.append((annotation["category_id"] + (rng.random() < 0.2)) % 3)
    found = Instances((record["height"], record["width"]))
    found.pred_boxes = Boxes(torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float64))
    found.scores = torch.tensor(rng.random(len(boxes)))
    found.pred_classes = torch.tensor(classes, dtype=torch.int64)
    return found


def evaluate(name: str) -> dict[str, float]:
    evaluator = COCOEvaluator(name, distributed=False)
    evaluator.reset()
    for record in load_records([name], training=False):
        evaluator.process([{"image_id": record["image_id"]}], [{"instances": detections(record)}])
    return evaluator.evaluate()["bbox"]


def test_voc_and_yolo_give_the_numbers_of_coco(source, register, tmp_path):
    results = {"source": evaluate(source)}
    for writer in (CocoWriter(), VocWriter(), YoloWriter()):
        output = tmp_path / writer.format_name
        split = read_split("val", source)
        report = convert_dataset([split], output, writer=writer, place_image=link_image)
        results[writer.format_name] = evaluate(register(report.entries["val"]))
    assert 10 < results["coco"]["AP"] < 90  # that of the json file, as pycocotools has it
    for result in results.values():
        assert result == pytest.approx(results["coco"], abs=1e-9, nan_ok=True)


def test_ground_truth_of_records_is_exact(source):
    dataset = load_evaluated_dataset(source, with_masks=False)
    assert dataset.class_names == CLASSES and dataset.category_ids == [0, 1, 2]
    assert dataset.ground_truth.image_ids[0] == "images/0.png"
    records = load_records([source], training=False)
    boxes = [a["bbox"] for record in records for a in record["annotations"]]
    assert (dataset.ground_truth.boxes_xywh == np.array(boxes)).all()
