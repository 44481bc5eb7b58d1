"""Cases that tests of several parts of a detector share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def bm_sim_ota() -> ModuleType:
    """The benchmark of SimOTA, with the literal formula and random cases."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        specification = importlib.util.spec_from_file_location(
            "bm_sim_ota", BENCHMARKS / "bm_sim_ota.py"
        )
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture
def yolox_recipe() -> SimpleNamespace:
    """Predictions and objects for which the losses of the authors' code are known.

    Three images of 256×256, 8 classes, strides 8, 16, 32; raw maps ``(3, 13, rows, columns)``
    with channels x, y, w, h, objectness, classes, filled by a formula.
    """
    start, maps, sizes = 0, [], ((32, 32), (16, 16), (8, 8))
    for rows, columns in sizes:
        count = 3 * 13 * rows * columns
        index = torch.arange(start, start + count, dtype=torch.float64)
        start += count
        values = (12.9898 * index).sin() * 43758.5453
        values = (4 * (values - values.floor()) - 2).float().view(3, 13, rows, columns)
        values[:, :2] *= 0.25
        values[:, 2:4] = values[:, 2:4] * 0.5 + 1
        values[:, 4] -= 3
        maps.append(values.requires_grad_())
    flat = torch.cat([level.flatten(2) for level in maps], dim=2).mT
    centers, strides = cell_centers(sizes, (8, 16, 32))
    predictions = DensePredictions(
        class_logits=flat[..., 5:],
        objectness_logits=flat[..., 4],
        box_deltas=flat[..., :4],
        centers=centers,
        strides=strides,
        level_sizes=sizes,
    )
    objects = torch.tensor(  # image, class, center x, center y, width, height
        [
            [0, 2, 64, 77, 51, 38],
            [0, 5, 179, 154, 102, 128],
            [0, 1, 26, 218, 13, 20],
            [1, 7, 128, 128, 230, 205],
            [1, 0, 84, 54, 40, 44],
            [1, 3, 90, 60, 56, 50],
            [1, 4, 200, 60, 80, 90],
        ]
    )
    middle, half = objects[:, 2:4].float(), objects[:, 4:].float() / 2
    targets = Targets(
        boxes=torch.cat([middle - half, middle + half], dim=1),
        labels=objects[:, 1],
        image_index=objects[:, 0],
        image_sizes=torch.full((3, 2), 256),
    )
    return SimpleNamespace(maps=maps, predictions=predictions, targets=targets)
