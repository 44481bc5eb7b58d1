"""Criteria over two ranks: averaged gradients and losses are those of one rank."""

from __future__ import annotations

import pytest

TWO_RANKS = """
import sys
from dataclasses import replace

import torch
from torch import distributed

sys.path.insert(0, sys.argv[1])
from assignment_cases import ANCHORS, random_case

from yolov7.modeling.assignment import OTA, BestAnchor, LeadGuided, SimOTA
from yolov7.modeling.box_coders import YOLOv7BoxCoder, YOLOXBoxCoder
from yolov7.modeling.losses import (
    AnchorCriterion, AuxiliaryCriterion, ClassicCriterion, DenseCriterion, bce, ciou, iou_squared)
from yolov7.modeling.losses.regression import DecodedBoxes

torch.set_num_threads(1)
rank = int(sys.argv[3])
weights = {"loss_box": 5.0, "loss_objectness": 1.0, "loss_class": 1.0}
dense = DenseCriterion(
    assigner=SimOTA(), box_coder=YOLOXBoxCoder(), box_loss=iou_squared, class_loss=bce,
    objectness_loss=bce, loss_weights={**weights, "loss_l1": 1.0})
anchor = AnchorCriterion(
    assigner=OTA(), box_coder=YOLOv7BoxCoder(), box_loss=ciou, class_loss=bce,
    objectness_loss=bce, loss_weights=weights, level_balance=(4.0, 1.0, 0.4), batch_size=4)
auxiliary = AuxiliaryCriterion(lead=anchor, guidance=LeadGuided())
classic = ClassicCriterion(
    assigner=BestAnchor(), box_coder=YOLOv7BoxCoder(), class_loss=bce, objectness_loss=bce,
    box_terms={"loss_box": DecodedBoxes(YOLOv7BoxCoder(), ciou)}, loss_weights=weights,
    level_balance=(1.0, 1.0, 1.0))


def gradient(criterion, predictions, targets, keep):
    # A model of one parameter per prediction, the same for all images.
    own = torch.isin(targets.image_index, keep)
    targets = replace(
        targets, boxes=targets.boxes[own], labels=targets.labels[own],
        image_index=torch.searchsorted(keep, targets.image_index[own]),
        image_sizes=targets.image_sizes[keep])
    parameter = torch.ones(predictions.num_predictions, 1, dtype=torch.float64, requires_grad=True)
    predictions = replace(
        predictions, class_logits=predictions.class_logits[keep] * parameter,
        objectness_logits=predictions.objectness_logits[keep] * parameter[:, 0],
        box_deltas=predictions.box_deltas[keep] * parameter)
    second = predictions if criterion is auxiliary else None
    losses = criterion(predictions, targets, second)
    sum(losses.values()).backward()
    return parameter.grad, torch.stack([loss.detach() for loss in losses.values()])


keep = torch.tensor([[0, 2], [1, 3]][rank])
cases = []
for objects in ([3, 9, 5, 1], [4, 0, 6, 0], [0, 0, 0, 0]):
    shape = {"objects": objects, "size": (64, 96), "num_classes": 4, "dtype": torch.float64}
    anchors = {"anchors": ANCHORS, "box_coder": YOLOv7BoxCoder()}
    cases.append((dense, *random_case(0, **shape)))
    cases.append((anchor, *random_case(0, **shape, **anchors)))
    cases.append((auxiliary, *random_case(0, **shape, **anchors)))
    cases.append((classic, *random_case(0, **shape, **anchors)))
expected = [gradient(*case, torch.arange(4)) for case in cases]
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
for case, wholes in zip(cases, expected, strict=True):
    for part, whole in zip(gradient(*case, keep), wholes, strict=True):
        distributed.all_reduce(part)
        difference = (part / 2 - whole).abs().max()
        assert difference <= 1e-10 * whole.abs().max(), (case[0], difference, whole)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_give_the_gradients_of_one(run_two_ranks) -> None:
    """Averaged over ranks, as DistributedDataParallel does, with unequal and empty shares."""
    run_two_ranks(TWO_RANKS)
