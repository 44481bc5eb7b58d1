"""SimOTA for a whole batch against its formula written literally, image by image.

python benchmarks/bm_sim_ota.py                      # 16 images of 640x640, 60 objects each
python benchmarks/bm_sim_ota.py --objects 1000 --images 2 --repeats 3
"""

from __future__ import annotations

import torch
from assignment_cases import (
    STRIDES,
    case_arguments,
    compare_with_literal,
    plain_iou,
    random_case,
)
from torch import Tensor
from torch.nn import functional

from yolov7.modeling.assignment import Assignment, SimOTA
from yolov7.modeling.box_coders import YOLOXBoxCoder
from yolov7.modeling.losses import DenseCriterion, bce, iou_squared
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets

__all__ = ["STRIDES", "literal_sim_ota", "random_case"]


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

        iou = plain_iou(boxes[:, None], pred_boxes[image, candidates][None])
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


def main() -> None:
    """Run the comparison, print the ratio, write the result."""
    arguments = case_arguments(__doc__.splitlines()[0], "sim_ota")
    predictions, targets = random_case(
        0,
        objects=[arguments.objects] * arguments.images,
        size=(arguments.size, arguments.size),
        num_classes=arguments.classes,
        device=arguments.device,
    )
    boxes = YOLOXBoxCoder().decode(predictions.box_deltas, *predictions.places())
    assigner = SimOTA()
    criterion = DenseCriterion(
        assigner=assigner,
        box_coder=YOLOXBoxCoder(),
        box_loss=iou_squared,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights={"loss_box": 5.0, "loss_objectness": 1.0, "loss_class": 1.0, "loss_l1": 1.0},
    )
    compare_with_literal(
        arguments,
        lambda: literal_sim_ota(predictions, boxes, targets),
        lambda: assigner(predictions, boxes, targets),
        lambda: criterion(predictions, targets),
        name="SimOTA",
    )


if __name__ == "__main__":
    main()
