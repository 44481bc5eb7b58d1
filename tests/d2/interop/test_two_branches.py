"""The same data, training and evaluation in the two branches; checkpoints cross over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from yolov7.checkpoint import load_checkpoint
from yolov7.data.builtin_datasets import COCO_CATEGORY_IDS, COCO_CLASSES

pytestmark = pytest.mark.detectron2

ROOT = Path(__file__).parents[3]
BRANCHES = ("detectron2", "embedded")
MIDDLE, END = 6, 12


def differences(a, b, name=""):
    """Names of the entries in which two checkpoints differ in any bit."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a for d in differences(a[key], b[key], f"{name}.{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i in range(len(a)) for d in differences(a[i], b[i], f"{name}.{i}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [name]
    return [] if type(a) is type(b) and a == b else [name]


@pytest.mark.end_to_end
def test_training_resuming_and_evaluation(detectron2, make_config, run_script, tmp_path):
    cfg = make_config(
        "SOLVER.MAX_ITER", END, "SOLVER.CHECKPOINT_PERIOD", MIDDLE, "SOLVER.LAST_PHASE_ITERS", 3,
        "INPUT.MOSAIC_AND_MIXUP.ENABLED", True, "INPUT.MOSAIC_AND_MIXUP.PROBABILITY", 0.7,
    )  # fmt: skip
    config = tmp_path / "dumped.yaml"
    config.write_text(cfg.dump())
    start = [ROOT / "train_net.py", "--config-file", config, "--num-gpus", 0]
    whole = {}
    for branch in BRANCHES:
        folder = tmp_path / branch
        printed = run_script(branch, *start, "OUTPUT_DIR", folder)
        whole[branch] = load_checkpoint(folder / "model_final.pth")
    assert whole["embedded"]["iteration"] == END - 1
    assert differences(whole["embedded"], whole["detectron2"]) == []

    for first, second in (BRANCHES, BRANCHES[::-1]):
        folder = tmp_path / f"{first}_then_{second}"
        folder.mkdir()
        name = f"model_{MIDDLE - 1:07d}.pth"
        shutil.copy(tmp_path / first / name, folder / name)
        (folder / "last_checkpoint").write_text(name)
        printed = run_script(second, *start, "--resume", "OUTPUT_DIR", folder)
        assert f"after iteration {MIDDLE - 1}" in printed
        resumed = load_checkpoint(folder / "model_final.pth")
        assert differences(resumed, whole[second]) == []

    weights = ["MODEL.WEIGHTS", tmp_path / "embedded" / "model_final.pth"]
    detections = []
    for branch in BRANCHES:
        folder = tmp_path / f"evaluated_{branch}"
        run_script(branch, *start, "--eval-only", *weights, "OUTPUT_DIR", folder)
        file = folder / "inference" / "coco_instances_results.json"
        detections.append(json.loads(file.read_text()))
    assert detections[0] == detections[1] and detections[0]
    final = [
        json.loads((tmp_path / branch / "metrics.json").read_text().splitlines()[-1])
        for branch in BRANCHES
    ]
    numbers = [{k: v for k, v in line.items() if k.startswith("bbox/")} for line in final]
    assert len(numbers[0]) >= 12 and numbers[0] == pytest.approx(numbers[1], abs=1e-6, nan_ok=True)


# Which records and classes the framework gets for a name, what detectron2 does not give left out.
LOOK = """
import json
from yolov7.d2 import DatasetCatalog
from yolov7.data import load_records
from yolov7.engine.class_list import class_list_of_dataset
records = load_records(["coco_2017_val"], training=True)
for record in records:
    record.pop("dataset_name", None)
    for annotation in record["annotations"]:
        annotation.pop("id", None)
classes = class_list_of_dataset("coco_2017_val").state_dict()
reader = "detectron2" if "lvis_v1_val" in DatasetCatalog.list() else "ours"
print("FOUND " + json.dumps([reader, classes, records], default=str))
"""


@pytest.mark.slow
def test_a_name_that_detectron2_registers_itself(detectron2, datasets, run_script):
    content = json.loads((datasets / "digits" / "annotations" / "val.json").read_text())
    content["categories"] = [
        {"id": i, "name": name} for i, name in zip(COCO_CATEGORY_IDS, COCO_CLASSES, strict=True)
    ]
    folder = datasets / "coco" / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    (datasets / "coco" / "val2017").mkdir(exist_ok=True)
    (folder / "instances_val2017.json").write_text(json.dumps(content))
    found = {}
    for branch in BRANCHES:
        printed = run_script(branch, "-c", LOOK)
        (line,) = [line for line in printed.splitlines() if line.startswith("FOUND ")]
        found[branch] = json.loads(line.removeprefix("FOUND "))
    assert [found[branch].pop(0) for branch in BRANCHES] == ["detectron2", "ours"]
    assert found["detectron2"] == found["embedded"]
    classes, records = found["embedded"]
    assert classes["names"] == list(COCO_CLASSES)
    assert sum(len(record["annotations"]) for record in records) == 16
