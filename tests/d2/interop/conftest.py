"""detectron2 itself, a tiny data set, a tiny YOLOX, and the code of docs/detectron2.md."""

from __future__ import annotations

import functools
import importlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as coco_mask
import pytest

from yolov7 import d2
from yolov7.config import load_config
from yolov7.data import register_from_config

ROOT = Path(__file__).parents[3]
AREAS = ("checkpoint", "data", "data.transforms", "engine", "evaluation", "modeling", "solver")

TINY = [
    "MODEL.DEVICE", "cpu", "MODEL.YOLO.WIDTH_MUL", "0.125", "MODEL.YOLO.CONF_THRESHOLD", "0.0",
    "MODEL.RETINANET.SCORE_THRESH_TEST", "0.0", "INPUT.INPUT_SIZE", "[64, 96]",
    # Gentle: statistics of batch norm follow slowly, and the model must still find something.
    "SOLVER.BASE_LR", "0.001", "SOLVER.BASE_LR_END", "0.0005", "SOLVER.MAX_ITER", "4",
    "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "2", "SOLVER.FLAT_ITERS", "1",
    "SOLVER.LAST_PHASE_ITERS", "1", "SOLVER.CHECKPOINT_PERIOD", "2", "SOLVER.LOG_PERIOD", "1",
    "SOLVER.EMA.TAU", "2.0", "TEST.EVAL_PERIOD", "0", "DATALOADER.NUM_WORKERS", "0", "SEED", "3",
]  # fmt: skip
# The sizes that detectron2's own mappers read.
TINY += [
    "INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MAX_SIZE_TRAIN", "96",
    "INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "96",
]  # fmt: skip


@pytest.fixture
def detectron2():
    """The package with its areas imported; skips where the seam does not stand on it."""
    if d2.BRANCH != "detectron2":
        pytest.skip(f"the seam stands on its {d2.BRANCH} branch")
    for area in AREAS:
        importlib.import_module(f"detectron2.{area}")
    return sys.modules["detectron2"]


@pytest.fixture(autouse=True)
def plain_logging():
    """Take away the handlers that trainers add, whose files lie in folders of single tests."""
    loggers = [logging.getLogger(name) for name in ("yolov7", "detectron2", "fvcore")]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, handlers, propagate in before:
        for handler in [h for h in logger.handlers if h not in handlers]:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = propagate


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    """A root for `$DETECTRON2_DATASETS` with coloured rectangles in the place of the digits."""
    root = tmp_path_factory.mktemp("datasets")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        _write_split(root / "digits", split, count, rng)
    return root


def _write_split(folder, split, count, rng):
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for image_id in range(count):
        height, width = ((64, 96), (96, 64), (48, 80))[image_id % 3]
        picture = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
        # The first picture has no object.
        for _ in range(3 if image_id else 0):
            category = int(rng.integers(1, 11))
            w, h = (int(v) for v in rng.integers(12, 30, 2))
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            picture[y : y + h, x : x + w] = (25 * category, 255 - 25 * category, 128)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": category,
                 "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0,
                 "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
            )  # fmt: skip
        if image_id == 1:
            annotations.append(_crowd(len(annotations) + 1, image_id, height, width))
        name = f"{image_id}.png"
        cv2.imwrite(str(folder / split / name), picture)
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": str(i)} for i in range(10)],
    }
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))


def _crowd(identity, image_id, height, width):
    bitmap = np.zeros((height, width), dtype=np.uint8, order="F")
    bitmap[:20, :24] = 1
    runs = coco_mask.encode(bitmap)
    return {
        "id": identity, "image_id": image_id, "category_id": 1, "bbox": [0, 0, 24, 20],
        "area": 480, "iscrowd": 1,
        "segmentation": {"size": [height, width], "counts": runs["counts"].decode()},
    }  # fmt: skip


@pytest.fixture
def make_config(datasets, tmp_path):
    """Load the digits' YOLOX-nano in tiny, with keys and yaml laid over it; data registered."""

    def make(*opts, yaml=""):
        file = tmp_path / "config.yaml"
        base = ROOT / "configs" / "digits" / "yolox_nano.yaml"
        file.write_text(f"_BASE_: {base}\nVERSION: 2\n{yaml}")
        names = ["DATASETS.TRAIN", "('interop_train',)", "DATASETS.TEST", "('interop_val',)"]
        options = [*TINY, *names, "OUTPUT_DIR", str(tmp_path / "run"), *map(str, opts)]
        cfg = load_config(file, options)
        digits = datasets / "digits"
        cfg.DATASETS.REGISTER = [
            {"NAME": f"interop_{split}", "FORMAT": "coco",
             "ANNOTATIONS": str(digits / "annotations" / f"{split}.json"),
             "IMAGES": str(digits / split)}
            for split in ("train", "val")
        ]  # fmt: skip
        register_from_config(cfg)
        return cfg

    return make


@pytest.fixture(scope="session")
def documented_text():
    """`documented_text(heading, language)`: the first such block of code below a heading."""
    text = (ROOT / "docs" / "detectron2.md").read_text(encoding="utf-8")

    def find(heading, language):
        pattern = rf"^#+ {re.escape(heading)}\n.*?^```{language}\n(.*?)^```"
        block = re.search(pattern, text, re.M | re.S)
        assert block, f"docs/detectron2.md: no {language} below '{heading}'"
        return block[1]

    return find


@pytest.fixture(scope="session")
def documented(documented_text):
    """`documented(heading)`: the names that the Python code below a heading defines."""

    @functools.cache
    def run(heading):
        names = {"__name__": "documentation"}
        code = documented_text(heading, "python")
        exec(compile(code, f"docs/detectron2.md: {heading}", "exec"), names)
        return names

    return run


@pytest.fixture
def run_script(datasets, tmp_path):
    """Run a Python file in a process of its own, in one branch; gives what it printed."""

    def run(branch, *arguments):
        environment = {
            **os.environ,
            "YOLOV7_D2": branch,
            "OMP_NUM_THREADS": "1",
            "DETECTRON2_DATASETS": str(datasets),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    return run
