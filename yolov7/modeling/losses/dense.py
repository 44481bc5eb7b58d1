"""The criterion of detectors that predict one box and its scores per cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.diagnostics import log_assignment
from yolov7.modeling.losses.elementwise import ElementwiseLoss, elementwise_losses, term_weights
from yolov7.modeling.losses.no_auxiliary import refuse_auxiliary
from yolov7.modeling.losses.normalization import rank_normalizer
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.modeling.targets import Targets

LOSS_NAMES = ("loss_box", "loss_objectness", "loss_class", "loss_l1")


@CRITERION_REGISTRY.register()
class DenseCriterion(nn.Module):
    """Compares dense predictions with targets: who answers for what, and how badly.

    With the F pairs of the assigner (YOLOX, arXiv 2107.08430):

    * ``loss_box``: the box loss of the F decoded boxes;
    * ``loss_objectness``: over *all* predictions, target 1 for the F and 0 for the rest, but none
      for those that the assigner ignores;
    * ``loss_class``: of the F, all classes; the target of the object's class is the matched IoU;
    * ``loss_l1``: of the F, the raw regressions' distance to the object's encoding.

    Each is summed, divided by the number of pairs in the global batch (at least 1, see
    :func:`~yolov7.modeling.losses.normalization.rank_normalizer`) and weighted. All keys are always
    there: without objects, or with weight 0, a loss is a zero that hangs on the graph, so that
    distributed training never waits for a missing gradient.

    Attributes:
        loss_weights: ``{name: weight}``, read at every call. It may be changed during training;
            YOLOX raises ``loss_l1`` from 0 for its last phase.
        compares_auxiliary: False: it has no losses for an auxiliary head.

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

    compares_auxiliary = False

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
        super().__init__()
        if set(loss_weights) != set(LOSS_NAMES):
            raise ValueError(f"loss_weights has {sorted(loss_weights)}, expected {LOSS_NAMES}")
        self.assigner = assigner
        self.box_coder = box_coder
        self.box_loss = box_loss
        self.class_loss = class_loss
        self.objectness_loss = objectness_loss
        self.loss_weights = dict(loss_weights)

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

    def forward(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            predictions: of B images, with objectness. Half precision is raised.
            targets: M objects of the same images.
            auxiliary: must be None: this criterion has no losses for an auxiliary head.

        Returns:
            ``{name: scalar}`` for each of ``LOSS_NAMES``; their sum is the loss.

        Raises:
            ValueError: for predictions without objectness.
            ConfigError: for auxiliary predictions.
        """
        sums, count = self.sums(predictions, targets, auxiliary)
        normalizer = rank_normalizer(count, like=next(iter(sums.values())))
        return {name: value / normalizer for name, value in sums.items()}

    def sums(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> tuple[dict[str, Tensor], int]:
        """The losses before normalisation, which add up over batches and ranks.

        Args:
            predictions, targets, auxiliary: as for a call.

        Returns:
            ``{name: scalar}``, the weighted sums over this rank's batch, and F, the number of its
            pairs, by the sum of which they are to be divided.

        Raises:
            as for a call.
        """
        if predictions.objectness_logits is None:
            raise ValueError("DenseCriterion needs predictions with objectness_logits")
        refuse_auxiliary(self, auxiliary)
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            return self._sums(predictions, targets)

    def _sums(
        self, predictions: DensePredictions, targets: Targets
    ) -> tuple[dict[str, Tensor], int]:
        assignment = self._assign(predictions, targets)
        log_assignment(assignment, targets)
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

        sums = {}
        for name, loss in zip(LOSS_NAMES, (box, objectness, classes, l1), strict=True):
            weight = self.loss_weights[name]
            if weight == 0:
                # The sum of nothing: 0 times a loss would be NaN for an infinite one.
                sums[name] = predictions.box_deltas[:0].sum()
            else:
                sums[name] = weight * loss().sum()
        return sums, len(assignment)

    @torch.no_grad()
    def _assign(self, predictions: DensePredictions, targets: Targets) -> Assignment:
        pred_boxes = self.box_coder.decode(predictions.box_deltas, *predictions.places())
        return self.assigner(predictions, pred_boxes, targets)
