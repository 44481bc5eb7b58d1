"""YOLOv7's OTA for a whole batch against its formula written literally, image by image.

python benchmarks/bm_ota.py                      # 16 images of 640x640, 60 objects each
python benchmarks/bm_ota.py --objects 1000 --images 2 --repeats 3
"""

from __future__ import annotations

import torch
from assignment_cases import (
    ANCHORS,
    case_arguments,
    compare_with_literal,
    plain_iou,
    random_case,
)
from torch import Tensor
from torch.nn import functional

from yolov7.modeling.assignment import OTA, Assignment
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.losses import AnchorCriterion, bce, ciou
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets


def literal_search(
    predictions: DensePredictions, targets: Targets, *, max_anchor_ratio: float, num_cells: int
) -> tuple[Tensor, Tensor]:
    """All (object, prediction) candidates of a batch, level by level; int64 (C,) each."""
    reach = {3: 0.5, 5: 1.0}[num_cells]
    boxes = targets.boxes.to(predictions.centers.dtype)
    objects, cells, start = [], [], 0
    for rows, columns in predictions.level_sizes:
        stride, count = predictions.strides[start], rows * columns
        x = (boxes[:, 0] + boxes[:, 2]) / 2 / stride
        y = (boxes[:, 1] + boxes[:, 3]) / 2 / stride
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        found = [
            (inside, x.floor(), y.floor()),
            (inside & (x % 1 < reach) & (x > 1), (x - reach).floor(), y.floor()),
            (inside & (y % 1 < reach) & (y > 1), x.floor(), (y - reach).floor()),
            (
                inside & ((columns - x) % 1 < reach) & (columns - x > 1),
                (x + reach).floor(),
                y.floor(),
            ),
            (inside & ((rows - y) % 1 < reach) & (rows - y > 1), x.floor(), (y + reach).floor()),
        ]
        for _ in range(predictions.num_anchors):
            ratio = (boxes[:, 2:] - boxes[:, :2]) / predictions.anchors[start]
            fits = torch.maximum(ratio, 1 / ratio).amax(dim=1) < max_anchor_ratio
            for near, column, row in found:
                chosen = torch.nonzero(near & fits).squeeze(1)
                objects.append(chosen)
                cells.append(start + (row * columns + column)[chosen].long())
            start += count
    return torch.cat(objects), torch.cat(cells)


def literal_ota(
    predictions: DensePredictions,
    pred_boxes: Tensor,
    targets: Targets,
    *,
    max_anchor_ratio: float = 4.0,
    num_cells: int = 3,
    top_k: int = 10,
    class_cost: float = 1.0,
    iou_cost: float = 3.0,
) -> Assignment:
    """The formula, step by step, one image at a time, with all (object, candidate, class) triples.

    Takes and gives what `OTA` takes and gives; ties go to the earlier prediction and the earlier
    object.
    """
    found_objects, found_cells = literal_search(
        predictions, targets, max_anchor_ratio=max_anchor_ratio, num_cells=num_cells
    )
    parts = []
    for image in range(predictions.num_images):
        objects = torch.nonzero(targets.image_index == image).squeeze(1)
        candidates = found_cells[targets.image_index[found_objects] == image].sort().values
        if len(candidates) == 0:
            continue
        boxes = targets.boxes[objects].to(pred_boxes.dtype)
        iou = plain_iou(boxes[:, None], pred_boxes[image, candidates][None])
        class_scores = predictions.class_logits[image, candidates].sigmoid()
        objectness = predictions.objectness_logits[image, candidates, None].sigmoid()
        scores = (class_scores * objectness).sqrt()[None].expand(len(objects), -1, -1)
        labels = functional.one_hot(targets.labels[objects], predictions.num_classes)
        wanted = labels[:, None].to(scores.dtype).expand_as(scores)
        class_costs = functional.binary_cross_entropy(scores, wanted, reduction="none").sum(dim=2)
        cost = class_cost * class_costs + iou_cost * -(iou + 1e-8).log()

        best = iou.topk(min(top_k, len(candidates)), dim=1).values
        num_taken = best.double().sum(dim=1).floor().clamp(min=1).long()
        taken = torch.zeros_like(iou, dtype=torch.bool)
        for row in range(len(objects)):
            order = torch.sort(cost[row], stable=True).indices
            taken[row, order[: num_taken[row]]] = True
        for column in torch.nonzero(taken.sum(dim=0) > 1).squeeze(1).tolist():
            owner = torch.sort(cost[:, column], stable=True).indices[0]
            taken[:, column] = False
            taken[owner, column] = True

        cell, row = torch.nonzero(taken.T, as_tuple=True)
        parts.append((torch.full_like(cell, image), candidates[cell], objects[row], iou[row, cell]))
    if not parts:
        return Assignment.empty(pred_boxes.device, pred_boxes.dtype)
    return Assignment(*(torch.cat(column) for column in zip(*parts, strict=True)))


def main() -> None:
    """Run the comparison, print the ratio, write the result."""
    arguments = case_arguments(__doc__.splitlines()[0], "ota")
    coder = YOLOv7BoxCoder()
    predictions, targets = random_case(
        0,
        objects=[arguments.objects] * arguments.images,
        size=(arguments.size, arguments.size),
        num_classes=arguments.classes,
        anchors=ANCHORS,
        box_coder=coder,
        device=arguments.device,
    )
    boxes = coder.decode(predictions.box_deltas, *predictions.places())
    assigner = OTA()
    criterion = AnchorCriterion(
        assigner=assigner,
        box_coder=coder,
        box_loss=ciou,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights={"loss_box": 0.05, "loss_objectness": 0.7, "loss_class": 0.3},
        level_balance=(4.0, 1.0, 0.4),
        batch_size=arguments.images,
    )
    compare_with_literal(
        arguments,
        lambda: literal_ota(predictions, boxes, targets),
        lambda: assigner(predictions, boxes, targets),
        lambda: criterion(predictions, targets),
        name="OTA",
    )


if __name__ == "__main__":
    main()
