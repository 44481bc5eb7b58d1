"""Our evaluator and detectron2's on the same predictions."""

from __future__ import annotations

import json

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch

from yolov7.d2 import Boxes, DatasetCatalog, Instances, MetadataCatalog, register_coco_instances
from yolov7.evaluation import COCOEvaluator, inference_on_dataset

pytestmark = pytest.mark.detectron2

NAMES = {11: "c", 3: "a", 7: "b"}
NUM_IMAGES, SIDE = 30, 200


@pytest.fixture
def crowded(tmp_path):
    """A data set with ids that have gaps, crowds, small and large objects, and empty images."""
    rng = np.random.default_rng(4)
    annotations = []
    for image_id in range(NUM_IMAGES):
        for number in range(int(rng.integers(0, 7))):
            x, y = rng.uniform(0, 120, 2)
            w, h = rng.uniform(5, 75, 2)
            bitmap = np.zeros((SIDE, SIDE), dtype=np.uint8, order="F")
            bitmap[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] = 1
            runs = coco_mask.encode(bitmap)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "area": float(bitmap.sum()),
                 "category_id": int(rng.choice(list(NAMES))), "bbox": [x, y, w, h],
                 "iscrowd": int(number == 0 and image_id % 4 == 0),
                 "segmentation": {"size": [SIDE, SIDE], "counts": runs["counts"].decode()}}
            )  # fmt: skip
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": SIDE, "width": SIDE}
            for i in range(NUM_IMAGES)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "info": {},
    }
    path = tmp_path / "crowded.json"
    path.write_text(json.dumps(content))
    name = f"crowded_{tmp_path.name}"
    register_coco_instances(name, {}, str(path), str(tmp_path))
    # detectron2's evaluator takes the category ids from the metadata, which loading fills.
    DatasetCatalog.get(name)
    yield name, content
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def predictions(content):
    """Per image: objects found with shaken boxes, misses, doubles and inventions; tied scores."""
    rng = np.random.default_rng(5)
    classes = {category: index for index, category in enumerate(sorted(NAMES))}
    by_image = {i: [] for i in range(NUM_IMAGES)}
    for item in content["annotations"]:
        for _ in range(int(rng.integers(0, 3))):
            box = np.array(item["bbox"]) + rng.normal(0, 3, 4)
            label = classes[item["category_id"]] if rng.random() < 0.8 else 0
            by_image[item["image_id"]].append((box, label, round(float(rng.random()), 1)))
    for image_id in range(0, NUM_IMAGES, 3):
        by_image[image_id].append((rng.uniform(5, 90, 4), 1, 0.5))
    inputs, outputs = [], []
    for image_id, rows in by_image.items():
        boxes = torch.tensor(np.array([box for box, _, _ in rows]).reshape(-1, 4)).float()
        boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:].clamp(min=1)
        instances = Instances((SIDE, SIDE), pred_boxes=Boxes(boxes))
        instances.scores = torch.tensor([score for _, _, score in rows])
        instances.pred_classes = torch.tensor([label for _, label, _ in rows]).long()
        grid = torch.arange(SIDE)
        inside = [(grid >= boxes[:, k, None]) & (grid < boxes[:, k + 2, None]) for k in (0, 1)]
        instances.pred_masks = inside[1][:, :, None] & inside[0][:, None, :]
        inputs.append({"image_id": image_id, "height": SIDE, "width": SIDE})
        outputs.append({"instances": instances})
    return inputs, outputs


@pytest.mark.parametrize("fast", [True, False])
def test_the_numbers_are_equal(detectron2, crowded, tmp_path, fast):
    if fast:
        pytest.importorskip("detectron2._C", reason="detectron2 was built without its extension")
    name, content = crowded
    inputs, outputs = predictions(content)
    tasks = ("bbox", "segm")
    theirs = detectron2.evaluation.COCOEvaluator(
        name, tasks=tasks, output_dir=str(tmp_path / "theirs"), use_fast_impl=fast
    )
    ours = COCOEvaluator(name, tasks=tasks, output_dir=tmp_path / "ours")
    results = []
    for evaluator in (theirs, ours):
        evaluator.reset()
        evaluator.process(inputs, outputs)
        results.append(evaluator.evaluate())
    expected, found = results
    for task in tasks:
        assert 5 < expected[task]["AP"] < 95
        assert {"AP", "AP50", "AP75", "APs", "APm", "APl", "AP-a", "AP-b", "AP-c"} <= set(
            expected[task]
        )
        for key, value in expected[task].items():
            key = key.replace("@", "")
            assert found[task][key] == pytest.approx(value, abs=1e-6, nan_ok=True), (task, key)

    files = [tmp_path / side / "coco_instances_results.json" for side in ("theirs", "ours")]
    rows = [
        sorted(json.loads(file.read_text()), key=lambda r: (r["image_id"], r["score"], r["bbox"]))
        for file in files
    ]
    assert len(rows[0]) == len(rows[1]) > 50
    for theirs_row, ours_row in zip(*rows, strict=True):
        assert ours_row["category_id"] == theirs_row["category_id"]
        assert ours_row["bbox"] == pytest.approx(theirs_row["bbox"])
        assert ours_row["segmentation"] == theirs_row["segmentation"]


def test_each_runs_in_the_others_loop(detectron2, crowded):
    name, content = crowded
    inputs, outputs = predictions(content)
    found = {sample["image_id"]: output for sample, output in zip(inputs, outputs, strict=True)}

    class Oracle(torch.nn.Module):
        def forward(self, samples):
            return [found[sample["image_id"]] for sample in samples]

    loader = [[sample] for sample in inputs]
    theirs = detectron2.evaluation.COCOEvaluator(name, tasks=("bbox",))
    in_ours = inference_on_dataset(Oracle(), loader, theirs)
    in_theirs = detectron2.evaluation.inference_on_dataset(
        Oracle(), loader, COCOEvaluator(name, tasks=("bbox",))
    )
    for key in ("AP", "AP50", "AP75", "APs", "APm", "APl"):
        assert in_theirs["bbox"][key] == pytest.approx(
            in_ours["bbox"][key], abs=1e-6, nan_ok=True
        ), key
