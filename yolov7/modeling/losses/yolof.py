"""The criterion of detectors whose class scores hold the objectness: YOLOF's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment, last_pairs
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.assigned import AssignedCriterion
from yolov7.modeling.losses.elementwise import ElementwiseLoss, elementwise_losses, term_weights
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.modeling.targets import Targets

LOSS_NAMES = ("loss_box", "loss_class")


@CRITERION_REGISTRY.register()
class YOLOFCriterion(AssignedCriterion):
    """Compares predictions without objectness of their own with targets.

    With the F pairs of the assigner (YOLOF, arXiv 2103.09460, as its authors' code has it):

    * ``loss_class``: over all predictions that are not ignored and all classes. The target of a
      prediction with a pair is its object's class, the last pair's of several, and no class
      otherwise;
    * ``loss_box``: the box loss of the F decoded boxes, so that a prediction with several pairs
      counts several times, an ignored one too.

    Each is summed, divided by the number of predictions that are taught a class, in the global
    batch, and weighted.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        box_loss: of ``(F, 4)`` predicted and true boxes, ``(F,)``.
        class_loss: of logits and targets ``(B, P, K)``, elementwise.
        loss_weights: a weight for each of ``LOSS_NAMES``.

    Raises:
        ValueError: when the weights' names are others.
    """

    reads_objectness = False

    @configurable
    def __init__(
        self,
        *,
        assigner: Assigner,
        box_coder: BoxCoder,
        box_loss: ElementwiseLoss,
        class_loss: ElementwiseLoss,
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

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder."""
        losses, weights = elementwise_losses(cfg), term_weights(cfg)
        return {
            "assigner": build_assigner(cfg),
            "box_coder": box_coder,
            "box_loss": losses["box_loss"],
            "class_loss": losses["class_loss"],
            "loss_weights": {"loss_box": weights["box"], "loss_class": weights["classes"]},
        }

    def check(self, predictions: DensePredictions) -> None:
        """Refuse predictions with an objectness of their own.

        Raises:
            ValueError: there is one.
        """
        if predictions.objectness_logits is not None:
            raise ValueError("YOLOFCriterion would leave objectness_logits untrained")

    def pair_sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted sums, to be divided by the number of predictions that are taught a class."""
        matched = (assignment.image_index, assignment.prediction_index)
        deltas = predictions.box_deltas[matched]
        place = predictions.places(assignment.prediction_index)
        boxes = targets.boxes.to(deltas.dtype)[assignment.target_index]
        box = self.box_loss(self.box_coder.decode(deltas, *place), boxes).sum()

        labels = taught_labels(predictions, targets, assignment)
        logits = predictions.class_logits
        wanted = (labels[..., None] == torch.arange(logits.shape[2], device=logits.device)).to(
            logits.dtype
        )
        classes = assignment.without_ignored(self.class_loss(logits, wanted).sum(dim=2)).sum()
        is_taught = assignment.without_ignored((labels >= 0).to(logits.dtype))
        sums = {"loss_box": box, "loss_class": classes}
        return {name: self.loss_weights[name] * sums[name] for name in LOSS_NAMES}, is_taught.sum()


def taught_labels(
    predictions: DensePredictions, targets: Targets, assignment: Assignment
) -> Tensor:
    """The class of each prediction's last pair.

    Args:
        predictions: of B images.
        targets: M objects.
        assignment: F pairs of them.

    Returns:
        ``(B, P)`` int64, -1 for predictions without a pair.
    """
    last = last_pairs(assignment.image_index, assignment.prediction_index, predictions)
    # What has no pair looks up the slot behind the last pair.
    return functional.pad(targets.labels[assignment.target_index], (0, 1), value=-1)[last]
