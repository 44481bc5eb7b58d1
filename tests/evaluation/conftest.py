"""Data sets, model outputs and pycocotools' own answer, shared by the tests of evaluation."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov7.d2 import Boxes, DatasetCatalog, Instances, MetadataCatalog
from yolov7.evaluation import Detections, GroundTruth

KEYS = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip
_counter = itertools.count()


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    """`setup_logger`, called by any earlier test, keeps messages from the root logger."""
    monkeypatch.setattr(logging.getLogger("yolov7"), "propagate", True)


@pytest.fixture(scope="session")
def synthetic_coco():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "synthetic_coco.py"
    spec = importlib.util.spec_from_file_location("synthetic_coco", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.synthetic_coco


@pytest.fixture
def register(tmp_path):
    """Write a COCO dict to disk and register it; returns the name of the data set."""
    names = []

    def _register(coco: dict, **metadata) -> str:
        name = f"evaluation_test_{next(_counter)}"
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(coco))
        ids = sorted(category["id"] for category in coco["categories"])
        by_id = {category["id"]: category["name"] for category in coco["categories"]}
        MetadataCatalog.get(name).set(
            json_file=str(path),
            thing_classes=[by_id[i] for i in ids],
            thing_dataset_id_to_contiguous_id={i: place for place, i in enumerate(ids)},
            **metadata,
        )
        names.append(name)
        return name

    yield _register
    for name in names:
        MetadataCatalog.remove(name)
        if name in DatasetCatalog.list():
            DatasetCatalog.remove(name)


def polygon_rle(polygon: list[float], height: int, width: int) -> dict:
    rle = mask_tools.frPyObjects([polygon], height, width)[0]
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.fixture
def columns():
    """Make columns of (class, box, image) objects and (class, box, score, image) detections.

    Boxes are xywh, the image may be left away; `crowds` and `difficult` are places of objects.
    """

    def _columns(objects, detections, *, num_classes, crowds=(), difficult=()):
        objects = [(*entry, 0)[:3] for entry in objects]
        detections = [(*entry, 0)[:4] for entry in detections]
        num_images = 1 + max([0, *(o[2] for o in objects), *(d[3] for d in detections)])
        boxes = np.array([o[1] for o in objects], float).reshape(-1, 4)
        places = np.arange(len(objects))
        truth = GroundTruth(
            image_ids=list(range(num_images)),
            image_sizes=[(100, 100)] * num_images,
            category_ids=list(range(num_classes)),
            image_index=np.array([o[2] for o in objects], np.int64),
            category_index=np.array([o[0] for o in objects], np.int64),
            boxes_xywh=boxes,
            areas=boxes[:, 2] * boxes[:, 3],
            is_crowd=np.isin(places, crowds),
            is_difficult=np.isin(places, difficult),
            segmentations=None,
        )
        found = Detections(
            image_index=np.array([d[3] for d in detections], np.int64),
            category_index=np.array([d[0] for d in detections], np.int64),
            boxes_xywh=np.array([d[1] for d in detections], float).reshape(-1, 4),
            scores=np.array([d[2] for d in detections], float),
            masks=None,
        )
        return found, truth

    return _columns


@pytest.fixture
def columns_of_coco():
    """Make the same columns of a data set in COCO's form and its results."""

    def _columns_of_coco(coco, rows):
        ids = sorted(category["id"] for category in coco["categories"])
        truth = GroundTruth.from_coco(coco, category_ids=ids, with_masks=False, source="made")
        place = truth.place_of_image
        found = Detections(
            image_index=np.array([place[row["image_id"]] for row in rows]),
            category_index=np.array([ids.index(row["category_id"]) for row in rows]),
            boxes_xywh=np.array([row["bbox"] for row in rows], float),
            scores=np.array([row["score"] for row in rows], float),
            masks=None,
        )
        return found, truth

    return _columns_of_coco


@pytest.fixture
def outputs_of():
    """Turn COCO results into what a model gives: samples and `Instances` for every image."""

    def _outputs_of(coco: dict, results: list[dict], *, with_masks: bool = False):
        ids = sorted(category["id"] for category in coco["categories"])
        by_image: dict = {image["id"]: [] for image in coco["images"]}
        for row in results:
            by_image[row["image_id"]].append(row)
        for image in coco["images"]:
            size = (image["height"], image["width"])
            rows = by_image[image["id"]]
            boxes = torch.tensor([r["bbox"] for r in rows], dtype=torch.float32).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            instances = Instances(size)
            instances.pred_boxes = Boxes(boxes)
            instances.scores = torch.tensor([r["score"] for r in rows], dtype=torch.float64)
            instances.pred_classes = torch.tensor(
                [ids.index(r["category_id"]) for r in rows], dtype=torch.int64
            )
            if with_masks:
                masks = [mask_tools.decode(polygon_rle(r["polygon"], *size)) for r in rows]
                stacked = np.stack(masks) if masks else np.zeros((0, *size))
                instances.pred_masks = torch.from_numpy(stacked.astype(bool))
            yield {"image_id": image["id"], **image}, {"instances": instances}

    return _outputs_of


@pytest.fixture
def reference():
    """pycocotools on plain json: (dict of the twelve numbers ×100, the evaluation, its print)."""

    def _reference(coco: dict, results: list[dict], task: str = "bbox", category_ids=None):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            truth = COCO()
            truth.dataset = copy.deepcopy(coco)
            truth.createIndex()
            if results:
                found = truth.loadRes(copy.deepcopy(results))
            else:
                found = COCO()
                found.dataset = {**truth.dataset, "annotations": []}
                found.createIndex()
            evaluation = COCOeval(truth, found, task)
            if category_ids is not None:
                evaluation.params.catIds = list(category_ids)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        values = [float(v * 100) if v >= 0 else float("nan") for v in evaluation.stats]
        return dict(zip(KEYS, values, strict=True)), evaluation, printed.getvalue()

    return _reference
