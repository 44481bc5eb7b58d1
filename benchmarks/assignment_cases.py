"""Random predictions and objects for assigners, and what their benchmarks share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence

import torch
from harness import compare, write_result
from torch import Tensor

from yolov7.modeling.assignment import Assignment
from yolov7.modeling.box_coders import BoxCoder, YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets

STRIDES = (8, 16, 32)
ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
"""Width and height in pixels of YOLOv7's anchors on each of STRIDES."""

Case = tuple[DensePredictions, Targets]


def random_case(
    seed: int,
    *,
    objects: list[int],
    size: tuple[int, int] = (640, 640),
    num_classes: int = 80,
    strides: tuple[int, ...] = STRIDES,
    anchors: Sequence[Sequence[tuple[int, int]]] | None = None,
    box_coder: BoxCoder | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Case:
    """Predictions of a network in mid-training, roughly, and `objects[b]` objects in image b.

    Half of the boxes near objects look like the object, the rest are noise. Without anchors the
    head is YOLOX's; anchors need a `box_coder` that reads them.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    height, width = size
    levels = tuple((-(-height // stride), -(-width // stride)) for stride in strides)
    num_anchors = 1 if anchors is None else len(anchors[0])
    centers, per_cell = cell_centers(levels, strides, num_anchors=num_anchors, dtype=torch.float64)
    anchor_sizes = None if anchors is None else _anchor_sizes(anchors, levels)
    count, images, total = len(per_cell), len(objects), sum(objects)
    side = 2 ** (3 + 5 * torch.rand(total, 2, generator=generator, dtype=torch.float64))
    middle = torch.rand(total, 2, generator=generator, dtype=torch.float64)
    middle = middle * torch.tensor([width, height], dtype=torch.float64)
    boxes = torch.cat([middle - side / 2, middle + side / 2], dim=1)
    image_index = torch.repeat_interleave(torch.arange(images), torch.tensor(objects))

    # Boxes of about the size of a cell (YOLOX), or of the anchor.
    mean = [0.5, 0.5, 0.7, 0.7] if anchors is None else [0.0] * 4
    deltas = normal(images, count, 4) * 0.5 + torch.tensor(mean)
    coder = box_coder or YOLOXBoxCoder()
    for image in range(images):
        own = torch.nonzero(image_index == image).squeeze(1)
        if len(own) == 0:
            continue
        nearest = torch.cdist(centers, middle[own]).argmin(dim=1)
        wanted = coder.encode(boxes[own[nearest]], centers, per_cell, anchor_sizes)
        close = torch.rand(count, 1, generator=generator) < 0.5
        noise = normal(count, 4) * 0.2
        deltas[image] = torch.where(close, wanted.clamp(-4, 6) + noise, deltas[image])
    predictions = DensePredictions(
        class_logits=(normal(images, count, num_classes) * 1.5 - 3).to(device, dtype),
        objectness_logits=(normal(images, count) * 1.5 - 2).to(device, dtype),
        box_deltas=deltas.to(device, dtype),
        centers=centers.to(device, dtype),
        strides=per_cell.to(device, dtype),
        level_sizes=levels,
        anchors=None if anchor_sizes is None else anchor_sizes.to(device, dtype),
    )
    targets = Targets(
        boxes=boxes.to(device, dtype),
        labels=torch.randint(num_classes, (total,), generator=generator).to(device),
        image_index=image_index.to(device),
        image_sizes=torch.tensor([size] * images).to(device),
    )
    return predictions, targets


def _anchor_sizes(
    anchors: Sequence[Sequence[tuple[int, int]]], levels: Sequence[tuple[int, int]]
) -> Tensor:
    """(P, 2) float64 in the order level, anchor, row, column."""
    return torch.cat(
        [
            torch.tensor(sizes, dtype=torch.float64).repeat_interleave(rows * columns, dim=0)
            for sizes, (rows, columns) in zip(anchors, levels, strict=True)
        ]
    )


def image_of(case: Case, image: int) -> tuple[DensePredictions, Targets, Tensor]:
    """One image of a case as a batch of its own, and the indices of its objects in the case."""
    predictions, targets = case
    part = slice(image, image + 1)
    own = torch.nonzero(targets.image_index == image).squeeze(1)
    single = DensePredictions(
        class_logits=predictions.class_logits[part],
        objectness_logits=predictions.objectness_logits[part],
        box_deltas=predictions.box_deltas[part],
        centers=predictions.centers,
        strides=predictions.strides,
        level_sizes=predictions.level_sizes,
        anchors=predictions.anchors,
    )
    objects = Targets(
        boxes=targets.boxes[own],
        labels=targets.labels[own],
        image_index=torch.zeros_like(own),
        image_sizes=targets.image_sizes[part],
    )
    return single, objects, own


def plain_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU (...) of boxes (..., 4), written out; 0 for pairs without area."""
    low = torch.maximum(boxes1[..., :2], boxes2[..., :2])
    high = torch.minimum(boxes1[..., 2:], boxes2[..., 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    area1 = (boxes1[..., 2:] - boxes1[..., :2]).prod(dim=-1)
    area2 = (boxes2[..., 2:] - boxes2[..., :2]).prod(dim=-1)
    return (overlap / (area1 + area2 - overlap)).nan_to_num(0.0)


def pairs(assignment: Assignment) -> list[tuple[int, int, int]]:
    """(image, prediction, object) of all pairs."""
    return list(
        zip(
            assignment.image_index.tolist(),
            assignment.prediction_index.tolist(),
            assignment.target_index.tolist(),
            strict=True,
        )
    )


def case_arguments(description: str, name: str) -> argparse.Namespace:
    """Parse the options that benchmarks of assigners have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--images", type=int, default=16, help="images in the batch")
    parser.add_argument("--objects", type=int, default=60, help="objects of every image")
    parser.add_argument("--size", type=int, default=640, help="side of the images in pixels")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of each alternative")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--name", default=name, help="name of the file under results/")
    return parser.parse_args()


def compare_with_literal(
    arguments: argparse.Namespace,
    literal: Callable[[], Assignment],
    ours: Callable[[], Assignment],
    criterion: Callable[[], object],
    *,
    name: str,
) -> None:
    """Time a literal formula, our assigner and it with the losses; print and write the result."""
    expected, found = literal(), ours()
    differing = len(set(pairs(found)) ^ set(pairs(expected)))
    timing = compare(
        {"literal formula": literal, name: ours, f"{name} and losses": criterion},
        arguments.repeats,
    )
    result = {
        "case": {
            "images": arguments.images,
            "objects": arguments.objects,
            "size": arguments.size,
            "classes": arguments.classes,
            "device": arguments.device,
        },
        "pairs": len(found),
        "pairs_of_literal": len(expected),
        "pairs_that_differ": differing,
        "timing": timing,
    }
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for alternative, row in timing.items():
        seconds = row["median_s"] * 1e3
        print(f"{alternative:18} {seconds:9.1f} ms   {row['ratio']:6.1f} times as fast")
    print(f"{len(found)} pairs, {differing} differ from the literal formula; written to {file}")
