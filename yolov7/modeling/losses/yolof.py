"""The criterion of detectors whose class scores hold the objectness: YOLOF's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment, last_pairs
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.diagnostics import log_assignment
from yolov7.modeling.losses.elementwise import ElementwiseLoss, elementwise_losses, term_weights
from yolov7.modeling.losses.no_auxiliary import refuse_auxiliary
from yolov7.modeling.losses.normalization import rank_normalizer
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.modeling.targets import Targets

LOSS_NAMES = ("loss_box", "loss_class")


@CRITERION_REGISTRY.register()
class YOLOFCriterion(nn.Module):
    """Compares predictions without objectness of their own with targets.

    With the F pairs of the assigner (YOLOF, arXiv 2103.09460, as its authors' code has it):

    * ``loss_class``: over all predictions that are not ignored and all classes. The target of a
      prediction with a pair is its object's class, the last pair's of several, and no class
      otherwise;
    * ``loss_box``: the box loss of the F decoded boxes, so that a prediction with several pairs
      counts several times, an ignored one too.

    Each is summed, divided by the number of predictions that are taught a class, in the global
    batch (at least 1, see :func:`~yolov7.modeling.losses.normalization.rank_normalizer`), and
    weighted. Both keys are always there; without objects ``loss_box`` is a zero that hangs on the
    graph.

    Attributes:
        loss_weights: ``{name: weight}``, read at every call; it may be changed during training.
        compares_auxiliary: False: it has no losses for an auxiliary head.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        box_loss: of ``(F, 4)`` predicted and true boxes, ``(F,)``.
        class_loss: of logits and targets ``(B, P, K)``, elementwise.
        loss_weights: a weight for each of ``LOSS_NAMES``.

    Raises:
        ValueError: when the weights' names are others.
    """

    compares_auxiliary = False

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
        super().__init__()
        if set(loss_weights) != set(LOSS_NAMES):
            raise ValueError(f"loss_weights has {sorted(loss_weights)}, expected {LOSS_NAMES}")
        self.assigner = assigner
        self.box_coder = box_coder
        self.box_loss = box_loss
        self.class_loss = class_loss
        self.loss_weights = dict(loss_weights)

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

    def forward(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            predictions: of B images, without objectness. Half precision is raised.
            targets: M objects of the same images.
            auxiliary: must be None: this criterion has no losses for an auxiliary head.

        Returns:
            ``{name: scalar}`` for each of ``LOSS_NAMES``; their sum is the loss.

        Raises:
            ValueError: for predictions with objectness.
            ConfigError: for auxiliary predictions.
        """
        sums, count = self._of_batch(predictions, targets, auxiliary)
        normalizer = rank_normalizer(count, like=sums["loss_class"])
        return {name: value / normalizer for name, value in sums.items()}

    def sums(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> tuple[dict[str, Tensor], int]:
        """The losses before normalisation, which add up over batches and ranks.

        Args:
            predictions, targets, auxiliary: as for a call.

        Returns:
            ``{name: scalar}``, the weighted sums over this rank's batch, and the number of its
            predictions that are taught a class, by the sum of which they are to be divided.

        Raises:
            as for a call.
        """
        sums, count = self._of_batch(predictions, targets, auxiliary)
        return sums, int(count)

    def _of_batch(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None
    ) -> tuple[dict[str, Tensor], Tensor]:
        if predictions.objectness_logits is not None:
            raise ValueError("YOLOFCriterion would leave objectness_logits untrained")
        refuse_auxiliary(self, auxiliary)
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            assignment = self._assign(predictions, targets)
            log_assignment(assignment, targets)
            return self._sums(predictions, targets, assignment)

    def _sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], Tensor]:
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

    @torch.no_grad()
    def _assign(self, predictions: DensePredictions, targets: Targets) -> Assignment:
        pred_boxes = self.box_coder.decode(predictions.box_deltas, *predictions.places())
        return self.assigner(predictions, pred_boxes, targets)


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
