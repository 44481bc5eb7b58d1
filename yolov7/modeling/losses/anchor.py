"""The criterion of YOLOv5 and YOLOv7: anchors, averages by level, IoU as objectness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.assigned import AssignedCriterion
from yolov7.modeling.losses.elementwise import (
    ElementwiseLoss,
    check_level_balance,
    elementwise_losses,
    term_weights,
)
from yolov7.modeling.predictions import DensePredictions, certain_if_single
from yolov7.modeling.registries import CRITERION_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.utils.expectations import expect

LOSS_NAMES = ("loss_box", "loss_objectness", "loss_class")


def scaled_weights(
    *,
    box: float,
    objectness: float,
    classes: float,
    num_levels: int,
    num_classes: int,
    image_size: tuple[int, int],
) -> dict[str, float]:
    """The authors' scaling of loss weights that are meant for 3 levels, 80 classes and 640×640.

    All by 3 / levels; the class weight by K / 80; the objectness weight by the area of the image.

    Args:
        box, objectness, classes: weights as the authors' files give them.
        num_levels: L.
        num_classes: K.
        image_size: (height, width) in training.

    Returns:
        a weight for each of ``LOSS_NAMES``.
    """
    levels = 3 / num_levels
    height, width = image_size
    return {
        "loss_box": box * levels,
        "loss_objectness": objectness * levels * (height * width / 640**2),
        "loss_class": classes * levels * (num_classes / 80),
    }


@CRITERION_REGISTRY.register()
class AnchorCriterion(AssignedCriterion):
    """Compares an anchor head's predictions with targets, level by level.

    With the pairs of the assigner (YOLOv7, arXiv 2207.02696, as its authors' code has it):

    * ``loss_box``: the mean box loss of each level's pairs, added up over the levels;
    * ``loss_objectness``: the mean of *all* places of a level, weighted by ``level_balance``, added
      up. The target of a place with a pair is ``1 − iou_share + iou_share · max(1 − box loss, 0)``,
      that of the others 0, and those that the assigner ignores have no loss;
    * ``loss_class``: the mean of each level's pairs and classes, added up; always 0 for one class,
      whose score is the objectness alone. The assigner then sees a class score of 1.

    The sum is multiplied by ``batch_size``, the images of one step of the optimiser, as the authors
    do: a larger batch takes larger steps at the same learning rate.

    All counts are those of the global batch: with W ranks each computes its own sums, divides them
    by the counts of all ranks and multiplies by W, so that the average of gradients is the gradient
    on one rank. (The authors' ranks average over their own pairs.) With accumulated gradients each
    part of the batch is averaged on its own.

    One more difference from the authors' code: where several objects have a pair with one
    prediction, its objectness target is the *largest* of theirs. There the last one written stays,
    which depends on the device.

    Attributes:
        trains_single_class: False: the postprocessor must not read a single class's logit.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        box_loss: of ``(F, 4)`` predicted and true boxes, ``(F,)``: 1 − some IoU.
        class_loss: of logits and targets ``(F, K)``, elementwise.
        objectness_loss: of logits and targets ``(B, P)``, elementwise.
        loss_weights: a weight for each of ``LOSS_NAMES``; see :func:`scaled_weights`.
        level_balance: weight of each level's objectness, finest first.
        batch_size: images of one step of the optimiser, all ranks together.
        iou_share: how much of the objectness target is overlap, the rest being 1; in [0, 1].
        label_smoothing: ε; class targets are 1 − ε/2 and ε/2 instead of 1 and 0.

    Raises:
        ValueError: when the weights' names are others.
    """

    trains_single_class = False

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
        level_balance: Sequence[float],
        batch_size: int,
        iou_share: float = 1.0,
        label_smoothing: float = 0.0,
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
        self.level_balance = tuple(level_balance)
        self.batch_size = batch_size
        self.iou_share = iou_share
        self.label_smoothing = label_smoothing

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder.

        The weights are scaled by levels, classes and ``INPUT.INPUT_SIZE``; the batch size is
        ``SOLVER.IMS_PER_BATCH``.

        Raises:
            ConfigError: a number is out of range.
        """
        criterion, size = cfg.MODEL.CRITERION, cfg.INPUT.INPUT_SIZE
        _check_numbers(criterion, size)
        return {
            "assigner": build_assigner(cfg),
            "box_coder": box_coder,
            **elementwise_losses(cfg),
            "loss_weights": scaled_weights(
                **term_weights(cfg),
                num_levels=len(criterion.LEVEL_BALANCE),
                num_classes=cfg.MODEL.YOLO.CLASSES,
                image_size=tuple(size),
            ),
            "level_balance": criterion.LEVEL_BALANCE,
            "batch_size": cfg.SOLVER.IMS_PER_BATCH,
            "iou_share": criterion.OBJECTNESS_IOU_SHARE,
            "label_smoothing": criterion.LABEL_SMOOTHING,
        }

    def sums(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> tuple[dict[str, Tensor], int]:
        """Losses that add up over batches.

        Averages by level do not add up, so this is the loss of this rank's batch, times its images.

        Args:
            predictions, targets, auxiliary: as for a call.

        Returns:
            ``{name: scalar}`` and B, by the sum of which they are to be divided.

        Raises:
            as for a call.
        """
        sums, counts = self.compare(predictions, targets, auxiliary)
        images = predictions.num_images
        losses = self.average(sums, counts.clamp(min=1))
        return {name: loss * images for name, loss in losses.items()}, images

    @torch.no_grad()
    def assign(self, predictions: DensePredictions, targets: Targets) -> tuple[Assignment, Tensor]:
        """As its base; a single class, which is not trained, looks certain to the assigner."""
        return super().assign(certain_if_single(predictions), targets)

    def pair_sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The losses before they are averaged and weighted.

        Returns:
            ``{name: (L,)}``, the sums on each level of each of ``LOSS_NAMES``, and ``(L + 1,)``
            counts: the pairs of each level, and the images. Both add up over ranks.
        """
        logits, levels = predictions.objectness_logits, len(self.level_balance)
        matched = (assignment.image_index, assignment.prediction_index)
        place = predictions.places(assignment.prediction_index)
        boxes = targets.boxes.to(logits.dtype)[assignment.target_index]
        level = predictions.level_index()[assignment.prediction_index]
        membership = functional.one_hot(level, levels).to(logits.dtype)

        box = self.box_loss(self.box_coder.decode(predictions.box_deltas[matched], *place), boxes)
        overlap = (1 - box.detach()).clamp(min=0)
        wanted = self._objectness_targets(predictions, assignment, overlap)
        objectness = assignment.without_ignored(self.objectness_loss(logits, wanted))
        by_level = objectness.split(predictions.level_counts, dim=1)
        means = [
            balance * part.sum() / max(part.shape[1], 1)
            for balance, part in zip(self.level_balance, by_level, strict=True)
        ]
        classes = self._class_losses(predictions.class_logits[matched], targets, assignment)
        sums = {
            "loss_box": (box[:, None] * membership).sum(0),
            "loss_objectness": torch.stack(means),
            "loss_class": (classes[:, None] * membership).sum(0),
        }
        images = logits.new_full((1,), predictions.num_images)
        return sums, torch.cat([membership.sum(0), images])

    def average(self, sums: Mapping[str, Tensor], counts: Tensor) -> dict[str, Tensor]:
        """Weighted losses from what :meth:`pair_sums` gives, the counts being positive."""
        pairs, images = counts[:-1], counts[-1]
        divisors = dict(zip(LOSS_NAMES, (pairs, images, pairs), strict=True))
        losses = {}
        for name, parts in sums.items():
            weight = self.loss_weights[name] * self.batch_size
            # The sum of nothing: 0 times a loss would be NaN for an infinite one.
            nothing = weight == 0
            losses[name] = parts[:0].sum() if nothing else weight * (parts / divisors[name]).sum()
        return losses

    def _objectness_targets(
        self, predictions: DensePredictions, assignment: Assignment, overlap: Tensor
    ) -> Tensor:
        wanted = torch.zeros_like(predictions.objectness_logits).flatten()
        place = assignment.image_index * predictions.num_predictions + assignment.prediction_index
        values = 1 - self.iou_share + self.iou_share * overlap
        return wanted.scatter_reduce_(0, place, values, "amax").view_as(
            predictions.objectness_logits
        )

    def _class_losses(self, logits: Tensor, targets: Targets, assignment: Assignment) -> Tensor:
        """Losses ``(F,)`` of logits ``(F, K)``, averaged over the classes."""
        num_classes = logits.shape[1]
        if num_classes == 1:
            return logits[:, :0].sum(dim=1)
        labels = targets.labels[assignment.target_index]
        hard = functional.one_hot(labels, num_classes).to(logits.dtype)
        wanted = hard * (1 - self.label_smoothing) + self.label_smoothing / 2
        return self.class_loss(logits, wanted).mean(dim=1)


def _check_numbers(criterion: CfgNode, size: Sequence[int]) -> None:
    is_size = len(size) == 2 and all(isinstance(side, int) and side >= 1 for side in size)
    expect(is_size, "INPUT.INPUT_SIZE", "[height, width] in pixels", size)
    check_level_balance(criterion.LEVEL_BALANCE)
    key = "MODEL.CRITERION"
    share, smoothing = criterion.OBJECTNESS_IOU_SHARE, criterion.LABEL_SMOOTHING
    expect(0 <= share <= 1, f"{key}.OBJECTNESS_IOU_SHARE", "a number in [0, 1]", share)
    expect(0 <= smoothing < 1, f"{key}.LABEL_SMOOTHING", "a number in [0, 1)", smoothing)
