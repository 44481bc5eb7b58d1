"""The criterion of detectors that predict one box and its scores per cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.assigned import AssignedCriterion
from yolov7.modeling.losses.elementwise import ElementwiseLoss, elementwise_losses, term_weights
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.modeling.targets import Targets

LOSS_NAMES = ("loss_box", "loss_objectness", "loss_class", "loss_l1")


@CRITERION_REGISTRY.register()
class DenseCriterion(AssignedCriterion):
    """Compares dense predictions with targets: who answers for what, and how badly.

    With the F pairs of the assigner (YOLOX, arXiv 2107.08430):

    * ``loss_box``: the box loss of the F decoded boxes;
    * ``loss_objectness``: over *all* predictions, target 1 for the F and 0 for the rest, but none
      for those that the assigner ignores;
    * ``loss_class``: of the F, all classes; the target of the object's class is the matched IoU;
    * ``loss_l1``: of the F, the raw regressions' distance to the object's encoding.

    Each is summed, divided by the number of pairs in the global batch and weighted.

    Attributes:
        loss_weights: may be changed during training: YOLOX raises ``loss_l1`` from 0 for its last
            phase.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        box_loss: of ``(F, 4)`` predicted and true boxes, ``(F,)``.
        class_loss: of logits and targets ``(F, K)``, elementwise.
        objectness_loss: of logits and targets ``(B, P)``, elementwise.
        loss_weights: a weight for each of ``LOSS_NAMES``.

    Raises:
        ValueError: when the weights' names are others.
    """

    @configurable
    def __init__(
        self,
        *,
        assigner: Assigner,
        box_coder: BoxCoder,
        box_loss: ElementwiseLoss,
        class_loss: ElementwiseLoss,
        objectness_loss: ElementwiseLoss,
        loss_weights: Mapping[str, float],
    ) -> None:
        super().__init__(
            assigner=assigner,
            box_coder=box_coder,
            loss_weights=loss_weights,
            loss_names=LOSS_NAMES,
        )
        self.box_loss = box_loss
        self.class_loss = class_loss
        self.objectness_loss = objectness_loss

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder.

        ``loss_l1`` starts at 0: ``L1_WEIGHT`` is for the last phase, which the engine knows of.
        """
        weights = term_weights(cfg)
        return {
            "assigner": build_assigner(cfg),
            "box_coder": box_coder,
            **elementwise_losses(cfg),
            "loss_weights": {
                "loss_box": weights["box"],
                "loss_objectness": weights["objectness"],
                "loss_class": weights["classes"],
                "loss_l1": 0.0,
            },
        }

    def pair_sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], int]:
        """The weighted sums over the pairs, to be divided by F, their number."""
        matched = (assignment.image_index, assignment.prediction_index)
        deltas = predictions.box_deltas[matched]
        place = predictions.places(assignment.prediction_index)
        boxes = targets.boxes.to(deltas.dtype)[assignment.target_index]

        def box() -> Tensor:
            return self.box_loss(self.box_coder.decode(deltas, *place), boxes)

        def objectness() -> Tensor:
            wanted = torch.zeros_like(predictions.objectness_logits)
            wanted[matched] = 1
            losses = self.objectness_loss(predictions.objectness_logits, wanted)
            return assignment.without_ignored(losses)

        def classes() -> Tensor:
            logits = predictions.class_logits[matched]
            labels = targets.labels[assignment.target_index]
            wanted = functional.one_hot(labels, predictions.num_classes).to(logits.dtype)
            wanted = wanted * assignment.matched_iou.to(logits.dtype)[:, None]
            return self.class_loss(logits, wanted)

        def l1() -> Tensor:
            return (deltas - self.box_coder.encode(boxes, *place)).abs()

        terms = dict(zip(LOSS_NAMES, (box, objectness, classes, l1), strict=True))
        return self.weighted_sums(terms, like=predictions.box_deltas), len(assignment)
