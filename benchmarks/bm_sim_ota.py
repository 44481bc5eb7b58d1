"""SimOTA for a whole batch against its formula written literally, image by image.

python benchmarks/bm_sim_ota.py                      # 16 images of 640x640, 60 objects each
python benchmarks/bm_sim_ota.py --objects 1000 --images 2 --repeats 3
"""

from __future__ import annotations

import argparse
import json

import torch
from harness import compare, write_result
from torch import Tensor
from torch.nn import functional

from yolov7.modeling.assignment import Assignment, SimOTA
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.locations import cell_centers
from yolov7.modeling.losses import DenseCriterion, bce, iou_squared
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets

STRIDES = (8, 16, 32)


def literal_sim_ota(
    predictions: DensePredictions,
    pred_boxes: Tensor,
    targets: Targets,
    *,
    center_radius: float = 1.5,
    top_k: int = 10,
    class_cost: float = 1.0,
    iou_cost: float = 3.0,
) -> Assignment:
    """The formula, step by step, one image at a time, with all (object, candidate, class) triples.

    Takes and gives what `SimOTA` takes and gives; ties go to the earlier prediction and the earlier
    object.
    """
    parts = []
    for image in range(predictions.num_images):
        objects = torch.nonzero(targets.image_index == image).squeeze(1)
        if len(objects) == 0:
            continue
        boxes = targets.boxes[objects].to(pred_boxes.dtype)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        distance = (predictions.centers[None] - middle[:, None]).abs()
        related = (distance < center_radius * predictions.strides[None, :, None]).all(dim=2)
        candidates = torch.nonzero(related.any(dim=0)).squeeze(1)
        if len(candidates) == 0:
            continue
        related = related[:, candidates]

        iou = _iou(boxes[:, None], pred_boxes[image, candidates][None])
        class_scores = predictions.class_logits[image, candidates].sigmoid()
        objectness = predictions.objectness_logits[image, candidates, None].sigmoid()
        scores = (class_scores * objectness).sqrt()[None].expand(len(objects), -1, -1)
        labels = functional.one_hot(targets.labels[objects], predictions.num_classes)
        wanted = labels[:, None].to(scores.dtype).expand_as(scores)
        class_costs = functional.binary_cross_entropy(scores, wanted, reduction="none").sum(dim=2)
        cost = class_cost * class_costs + iou_cost * -(iou + 1e-8).log() + 1e6 * ~related

        best = iou.topk(min(top_k, len(candidates)), dim=1).values
        num_cells = best.double().sum(dim=1).floor().clamp(min=1).long()
        taken = torch.zeros_like(related)
        for row in range(len(objects)):
            order = torch.sort(cost[row], stable=True).indices
            taken[row, order[: num_cells[row]]] = True
        for column in torch.nonzero(taken.sum(dim=0) > 1).squeeze(1).tolist():
            owner = torch.sort(cost[:, column], stable=True).indices[0]
            taken[:, column] = False
            taken[owner, column] = True

        cell, row = torch.nonzero(taken.T, as_tuple=True)
        parts.append((torch.full_like(cell, image), candidates[cell], objects[row], iou[row, cell]))
    if not parts:
        return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
    return Assignment(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    low = torch.maximum(boxes1[..., :2], boxes2[..., :2])
    high = torch.minimum(boxes1[..., 2:], boxes2[..., 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    area1 = (boxes1[..., 2:] - boxes1[..., :2]).prod(dim=-1)
    area2 = (boxes2[..., 2:] - boxes2[..., :2]).prod(dim=-1)
    return (overlap / (area1 + area2 - overlap)).nan_to_num(0.0)


def random_case(
    seed: int,
    *,
    objects: list[int],
    size: tuple[int, int] = (640, 640),
    num_classes: int = 80,
    strides: tuple[int, ...] = STRIDES,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> tuple[DensePredictions, Targets]:
    """Predictions of a network in mid-training, roughly, and `objects[b]` objects in image b.

    Half of the boxes near objects look like the object, the rest are noise.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    height, width = size
    levels = tuple((-(-height // stride), -(-width // stride)) for stride in strides)
    centers, per_cell = cell_centers(levels, strides, dtype=torch.float64)
    count, images, total = len(per_cell), len(objects), sum(objects)
    side = 2 ** (3 + 5 * torch.rand(total, 2, generator=generator, dtype=torch.float64))
    middle = torch.rand(total, 2, generator=generator, dtype=torch.float64)
    middle = middle * torch.tensor([width, height], dtype=torch.float64)
    boxes = torch.cat([middle - side / 2, middle + side / 2], dim=1)
    image_index = torch.repeat_interleave(torch.arange(images), torch.tensor(objects))

    deltas = normal(images, count, 4) * 0.5 + torch.tensor([0.5, 0.5, 0.7, 0.7])
    coder = YOLOXBoxCoder()
    for image in range(images):
        own = torch.nonzero(image_index == image).squeeze(1)
        if len(own) == 0:
            continue
        nearest = torch.cdist(centers, middle[own]).argmin(dim=1)
        wanted = coder.encode(boxes[own[nearest]], centers, per_cell)
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
    )
    targets = Targets(
        boxes=boxes.to(device, dtype),
        labels=torch.randint(num_classes, (total,), generator=generator).to(device),
        image_index=image_index.to(device),
        image_sizes=torch.tensor([size] * images).to(device),
    )
    return predictions, targets


def main() -> None:
    """Run the comparison, print the ratio, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16, help="images in the batch")
    parser.add_argument("--objects", type=int, default=60, help="objects of every image")
    parser.add_argument("--size", type=int, default=640, help="side of the images in pixels")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of each alternative")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--name", default="sim_ota", help="name of the file under results/")
    arguments = parser.parse_args()

    predictions, targets = random_case(
        0,
        objects=[arguments.objects] * arguments.images,
        size=(arguments.size, arguments.size),
        num_classes=arguments.classes,
        device=arguments.device,
    )
    boxes = YOLOXBoxCoder().decode(predictions.box_deltas, predictions.centers, predictions.strides)
    assigner = SimOTA()
    criterion = DenseCriterion(
        assigner=assigner,
        box_coder=YOLOXBoxCoder(),
        box_loss=iou_squared,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights={"loss_box": 5.0, "loss_objectness": 1.0, "loss_class": 1.0, "loss_l1": 1.0},
    )
    ours = assigner(predictions, boxes, targets)
    literal = literal_sim_ota(predictions, boxes, targets)
    same = {(b, p): t for b, p, t in zip(*_pairs(literal), strict=True)}
    differing = sum(same.get((b, p)) != t for b, p, t in zip(*_pairs(ours), strict=True))
    timing = compare(
        {
            "literal formula": lambda: literal_sim_ota(predictions, boxes, targets),
            "SimOTA": lambda: assigner(predictions, boxes, targets),
            "SimOTA and losses": lambda: criterion(predictions, targets),
        },
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
        "pairs": len(ours),
        "pairs_of_literal": len(literal),
        "pairs_that_differ": differing,
        "timing": timing,
    }
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, row in timing.items():
        print(f"{name:18} {row['median_s'] * 1e3:9.1f} ms   {row['ratio']:6.1f} times as fast")
    print(f"{len(ours)} pairs, {differing} differ from the literal formula; written to {file}")


def _pairs(assignment: Assignment) -> tuple[list[int], list[int], list[int]]:
    return (
        assignment.image_index.tolist(),
        assignment.prediction_index.tolist(),
        assignment.target_index.tolist(),
    )


if __name__ == "__main__":
    main()
