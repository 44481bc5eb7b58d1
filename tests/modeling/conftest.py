"""Cases that tests of several parts of a detector share."""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.heads.yolof_head import joint_logits
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.meta_arch import Detector
from yolov7.modeling.padding import CenteredPadding
from yolov7.modeling.postprocessing import DensePostprocessor
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets
from yolov7.ops.box_ops import cxcywh_to_xyxy
from yolov7.ops.nms import class_aware_nms

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS, REFERENCE = ROOT / "benchmarks", ROOT / "tests" / "reference"


def load_module(folder: Path, name: str) -> ModuleType:
    """A file as a module; it may import its neighbours."""
    sys.path.insert(0, str(folder))
    try:
        specification = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.fixture(scope="session")
def bm_sim_ota() -> ModuleType:
    """The benchmark of SimOTA, with the literal formula and random cases."""
    return load_module(BENCHMARKS, "bm_sim_ota")


@pytest.fixture(scope="session")
def bm_ota() -> ModuleType:
    """The benchmark of OTA, with the literal formula."""
    return load_module(BENCHMARKS, "bm_ota")


@pytest.fixture(scope="session")
def assignment_cases() -> ModuleType:
    """Random predictions and objects for assigners."""
    return load_module(BENCHMARKS, "assignment_cases")


@pytest.fixture(scope="session")
def query_cases() -> ModuleType:
    """Predictions of queries and objects for which the authors' losses are known."""
    return load_module(REFERENCE, "query_cases")


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


P5_ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
P6_ANCHORS = (
    ((19, 27), (44, 40), (38, 94)),
    ((96, 68), (86, 152), (180, 137)),
    ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)


def _yolov7_head(maps: list[Tensor], strides: list[int], anchors: tuple) -> DensePredictions:
    """Maps (B, 3, rows, columns, 5 + K) as the predictions of a head."""
    flat = torch.cat([level.flatten(1, 3) for level in maps], dim=1)
    sizes = tuple((level.shape[2], level.shape[3]) for level in maps)
    centers, per_cell = cell_centers(sizes, strides, num_anchors=3)
    repeats = [rows * columns for rows, columns in sizes]
    return DensePredictions(
        class_logits=flat[..., 5:],
        objectness_logits=flat[..., 4],
        box_deltas=flat[..., :4],
        centers=centers,
        strides=per_cell,
        level_sizes=sizes,
        anchors=torch.cat(
            [
                torch.tensor(sizes).float().repeat_interleave(count, dim=0)
                for sizes, count in zip(anchors, repeats, strict=True)
            ]
        ),
    )


def _yolov7_recipe(side: int, strides: list[int], anchors: tuple, heads: int) -> SimpleNamespace:
    start, maps = 0, []
    for stride in strides * heads:
        shape = (2, 3, side // stride, side // stride, 13)
        index = torch.arange(start, start + math.prod(shape), dtype=torch.float64)
        start += len(index)
        values = (12.9898 * index).sin() * 43758.5453
        values = (4 * (values - values.floor()) - 2).float().view(shape)
        values[..., 4] -= 3
        maps.append(values.requires_grad_())
    objects = torch.tensor(  # image, class, center x, center y, width, height in parts of the image
        [
            [0, 2, 0.25, 0.30, 0.20, 0.15],
            [0, 5, 0.70, 0.60, 0.40, 0.50],
            [0, 1, 0.10, 0.85, 0.05, 0.08],
            [1, 7, 0.50, 0.50, 0.90, 0.80],
            [1, 0, 0.33, 0.21, 0.06, 0.11],
            [1, 3, 0.80, 0.15, 0.12, 0.12],
        ]
    )
    targets = Targets(
        boxes=cxcywh_to_xyxy(objects[:, 2:] * side),
        labels=objects[:, 1].long(),
        image_index=objects[:, 0].long(),
        image_sizes=torch.full((2, 2), side),
    )
    levels = len(strides)
    return SimpleNamespace(
        maps=maps,
        predictions=_yolov7_head(maps[:levels], strides, anchors),
        auxiliary=_yolov7_head(maps[levels:], strides, anchors) if heads == 2 else None,
        targets=targets,
        side=side,
    )


@pytest.fixture
def yolov7_p5_recipe() -> SimpleNamespace:
    """Predictions and objects for which the losses of the authors' code are known.

    Two images of 256x256, 8 classes, strides 8, 16, 32, three anchors; maps ``(2, 3, rows, columns,
    13)`` with channels x, y, w, h, objectness, classes, filled by a formula.
    """
    return _yolov7_recipe(256, [8, 16, 32], P5_ANCHORS, heads=1)


@pytest.fixture
def yolov7_p6_recipe() -> SimpleNamespace:
    """The same with four levels at 512x512, and the maps of an auxiliary head after the lead's."""
    return _yolov7_recipe(512, [8, 16, 32, 64], P6_ANCHORS, heads=2)


@pytest.fixture
def yolof_recipe() -> SimpleNamespace:
    """Predictions and objects for which the losses of the authors' code are known.

    Two images of 192x256, 8 classes, 5 anchors on one map of stride 32; raw maps ``(2, A·8, 6, 8)``
    of classes, ``(2, A·4, 6, 8)`` of boxes and ``(2, A, 6, 8)`` of objectness, filled by a formula.
    """
    start, maps = 0, []
    for channels in (40, 20, 5):
        index = torch.arange(start, start + 2 * channels * 48, dtype=torch.float64)
        start += len(index)
        values = (12.9898 * index).sin() * 43758.5453
        maps.append((4 * (values - values.floor()) - 2).float().view(2, channels, 6, 8))
    maps[0] -= 3
    maps[1] *= 0.5
    classes, boxes, objectness = (
        level.requires_grad_().unflatten(1, (5, -1)).flatten(3).mT.flatten(1, 2) for level in maps
    )
    centers, strides = cell_centers([(6, 8)], [32], num_anchors=5)
    sides = torch.tensor([32.0, 64.0, 128.0, 256.0, 512.0]).repeat_interleave(48)
    predictions = DensePredictions(
        class_logits=joint_logits(classes, objectness),
        objectness_logits=None,
        box_deltas=boxes,
        centers=centers,
        strides=strides,
        level_sizes=((6, 8),),
        anchors=torch.stack([sides, sides], dim=1),
    )
    objects = [[20, 30, 90, 120], [100, 40, 220, 180], [10, 10, 26, 30]]
    objects += [[60, 60, 200, 150], [64, 70, 190, 140]]
    targets = Targets(
        boxes=torch.tensor(objects).float(),
        labels=torch.tensor([2, 5, 1, 7, 0]),
        image_index=torch.tensor([0, 0, 0, 1, 1]),
        image_sizes=torch.tensor([[192, 256]] * 2),
    )
    return SimpleNamespace(maps=maps, predictions=predictions, targets=targets)


class Nothing(nn.Module):
    """A backbone, or a neck, that hands its images on."""

    size_divisibility = 32

    def output_shape(self):
        return {"p5": ShapeSpec(channels=3, stride=32)}

    def forward(self, images: Tensor) -> Tensor:
        return images


class BrightHead(nn.Module):
    """Finds what is bright: a box around the bright pixels of each channel, which is the class.

    `seen` holds the images that it was given.
    """

    def __init__(self):
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, features: Tensor, images: ImageList) -> DensePredictions:
        self.seen.append(features)
        centers, strides = cell_centers([(1, 3)], [32])
        objectness = torch.full(features.shape[:2], -50.0)
        deltas = torch.zeros(*features.shape[:2], 4)
        for image, channel in (features.amax(dim=(2, 3)) > 0.5).nonzero().tolist():
            rows, columns = (features[image, channel] > 0.5).nonzero().unbind(dim=1)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            objectness[image, channel] = 3.0
            deltas[image, channel] = YOLOXBoxCoder().encode(
                torch.tensor(box), centers[channel], strides[channel]
            )
        return DensePredictions(
            class_logits=torch.eye(3).mul(100).sub(50).expand(len(features), 3, 3),
            objectness_logits=objectness,
            box_deltas=deltas,
            centers=centers,
            strides=strides,
            level_sizes=((1, 3),),
        )


@pytest.fixture
def bright_detector() -> Detector:
    """Finds bright rectangles, of three classes, in pictures that are centred in the frame."""
    return Detector(
        backbone=Nothing(),
        neck=Nothing(),
        head=BrightHead(),
        criterion=nn.Identity(),
        postprocessor=DensePostprocessor(
            box_coder=YOLOXBoxCoder(),
            score_threshold=0.1,
            nms=partial(class_aware_nms, threshold=0.65),
            max_detections=10,
        ),
        num_classes=3,
        pixel_mean=[0.0] * 3,
        pixel_std=[255.0] * 3,
        padded_value=51.0,
        padding=CenteredPadding(32),
    ).eval()
