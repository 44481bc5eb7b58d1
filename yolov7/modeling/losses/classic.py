"""The criterion of YOLOv3 and of the classic bench: sums of pairs, averaged over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.losses.assigned import AssignedCriterion
from yolov7.modeling.losses.elementwise import (
    ElementwiseLoss,
    center_loss,
    check_level_balance,
    elementwise_losses,
    term_weights,
)
from yolov7.modeling.losses.regression import Centers, DecodedBoxes, Pairs, RegressionTerm, Sizes
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import BOX_CODER_REGISTRY, CRITERION_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect


@CRITERION_REGISTRY.register()
class ClassicCriterion(AssignedCriterion):
    """Compares dense predictions with targets, every object of every image counting once.

    With the pairs of the assigner:

    * what each of ``box_terms`` says, summed over the pairs;
    * ``loss_objectness``: over all predictions that are not ignored, target 1 for those with a pair
      and 0 for the rest, weighted by ``level_balance``, summed;
    * ``loss_class``: over the predictions with a pair, each once, and all classes, summed; the
      targets of all its objects' classes are 1 − ε/2, the others ε/2, with ε = ``label_smoothing``.

    Each is divided by the number of *images* in the global batch and weighted; a picture with many
    objects counts more than one with few, as in darknet.

    From a config the terms are ``loss_box`` (``BOX_LOSS`` of decoded boxes), ``loss_center``
    (``CENTER_LOSS`` of the centres within their cells) and ``loss_size`` (L1 of the raw regressions
    of width and height), the last two times 2 − the object's share of the frame. Weights choose
    among them:

    ============  ===================  =============  ===========  ==========
    .             ``CENTER_LOSS``      CENTER_WEIGHT  SIZE_WEIGHT  BOX_WEIGHT
    ============  ===================  =============  ===========  ==========
    "v4"          ``bce``              1              1            0
    "v4", CIoU    ``bce``              1              0            1
    "v7"          ``sigmoid_l1``       1              1            1.1
    ============  ===================  =============  ===========  ==========

    Differences from the framework's first edition, on purpose: its "v7" took the CIoU of encoded
    values, which are no boxes, and divided L1 by the batch twice.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        box_terms: by the name of their loss.
        class_loss, objectness_loss: of logits and targets, elementwise.
        loss_weights: a weight for each of ``box_terms``, ``loss_objectness`` and ``loss_class``.
        level_balance: weight of each level's objectness, finest first.
        label_smoothing: ε.

    Raises:
        ValueError: when the weights' names are others.
    """

    @configurable
    def __init__(
        self,
        *,
        assigner: Assigner,
        box_coder: BoxCoder,
        box_terms: Mapping[str, RegressionTerm],
        class_loss: ElementwiseLoss,
        objectness_loss: ElementwiseLoss,
        loss_weights: Mapping[str, float],
        level_balance: Sequence[float],
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            assigner=assigner,
            box_coder=box_coder,
            loss_weights=loss_weights,
            loss_names={*box_terms, "loss_objectness", "loss_class"},
        )
        self.box_terms = dict(box_terms)
        self.class_loss = class_loss
        self.objectness_loss = objectness_loss
        self.level_balance = tuple(level_balance)
        self.label_smoothing = label_smoothing

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder.

        Raises:
            ConfigError: a number is out of range, or the coder's centres are no logits.
        """
        criterion, losses = cfg.MODEL.CRITERION, elementwise_losses(cfg)
        for key in ("CENTER_WEIGHT", "SIZE_WEIGHT"):
            expect(criterion[key] >= 0, f"MODEL.CRITERION.{key}", "a number >= 0", criterion[key])
        _check_coder(box_coder)
        weights = term_weights(cfg)
        box_loss = losses.pop("box_loss")
        return {
            **cls._common_arguments(cfg, box_coder),
            **losses,
            "box_terms": {
                "loss_box": DecodedBoxes(box_coder, box_loss),
                "loss_center": Centers(box_coder, center_loss(cfg)),
                "loss_size": Sizes(box_coder),
            },
            "loss_weights": {
                "loss_box": weights["box"],
                "loss_center": criterion.CENTER_WEIGHT,
                "loss_size": criterion.SIZE_WEIGHT,
                "loss_objectness": weights["objectness"],
                "loss_class": weights["classes"],
            },
        }

    @staticmethod
    def _common_arguments(cfg: CfgNode, box_coder: BoxCoder) -> dict[str, Any]:
        criterion = cfg.MODEL.CRITERION
        check_level_balance(criterion.LEVEL_BALANCE)
        smoothing, key = criterion.LABEL_SMOOTHING, "MODEL.CRITERION.LABEL_SMOOTHING"
        expect(0 <= smoothing < 1, key, "a number in [0, 1)", smoothing)
        return {
            "assigner": build_assigner(cfg),
            "box_coder": box_coder,
            "level_balance": criterion.LEVEL_BALANCE,
            "label_smoothing": smoothing,
        }

    def pair_sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], int]:
        """The weighted sums over the batch, to be divided by B, the number of its images."""
        classes = _PairClasses.of(predictions, targets, assignment)
        pairs = self._pairs(predictions, targets, assignment, classes)
        terms = {name: partial(term, pairs) for name, term in self.box_terms.items()}
        terms["loss_objectness"] = partial(self._objectness, predictions, assignment)
        terms["loss_class"] = partial(self._classes, predictions, assignment, classes)
        return self.weighted_sums(terms, like=pairs.deltas), predictions.num_images

    def _pairs(
        self,
        predictions: DensePredictions,
        targets: Targets,
        assignment: Assignment,
        classes: _PairClasses,
    ) -> Pairs:
        deltas = predictions.box_deltas[assignment.image_index, assignment.prediction_index]
        return Pairs(
            deltas=deltas,
            places=predictions.places(assignment.prediction_index),
            boxes=targets.boxes.to(deltas.dtype)[assignment.target_index],
            frame=predictions.frame(),
            num_classes=classes.wanted.sum(dim=1)[classes.first],
        )

    def _objectness(self, predictions: DensePredictions, assignment: Assignment) -> Tensor:
        """Losses ``(B, P)``."""
        logits = predictions.objectness_logits
        wanted = torch.zeros_like(logits)
        wanted[assignment.image_index, assignment.prediction_index] = 1
        losses = assignment.without_ignored(self.objectness_loss(logits, wanted))
        by_level = losses.split(predictions.level_counts, dim=1)
        balanced = [weight * x for weight, x in zip(self.level_balance, by_level, strict=True)]
        return torch.cat(balanced, dim=1)

    def _classes(
        self, predictions: DensePredictions, assignment: Assignment, classes: _PairClasses
    ) -> Tensor:
        """Losses ``(F, K)``, 0 for repeated predictions."""
        logits = predictions.class_logits[assignment.image_index, assignment.prediction_index]
        wanted = classes.wanted * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = self.class_loss(logits, wanted)
        return losses.masked_fill(~classes.is_first[:, None], 0)


@dataclass(frozen=True, eq=False)
class _PairClasses:
    """The classes of the objects that each prediction with a pair answers for.

    Attributes:
        first: ``(F,)`` int64, the first pair of each pair's prediction.
        is_first: ``(F,)`` bool, whether it is this one.
        wanted: ``(F, K)``, in the rows of first pairs 1 for each class, else 0.
    """

    first: Tensor
    is_first: Tensor
    wanted: Tensor

    @staticmethod
    def of(predictions: DensePredictions, targets: Targets, assignment: Assignment) -> _PairClasses:
        logits, count = predictions.class_logits, len(assignment)
        place = assignment.image_index * predictions.num_predictions + assignment.prediction_index
        number = torch.arange(count, device=logits.device)
        first = number.new_zeros(predictions.num_images * predictions.num_predictions)
        first.scatter_reduce_(0, place, number, "amin", include_self=False)
        first = first[place]
        wanted = logits.new_zeros((count, predictions.num_classes))
        wanted[first, targets.labels[assignment.target_index]] = 1
        return _PairClasses(first, first == number, wanted)


def _check_coder(box_coder: BoxCoder) -> None:
    if not getattr(box_coder, "logit_centers", False):
        fitting = [
            name for name, coder in BOX_CODER_REGISTRY if getattr(coder, "logit_centers", False)
        ]
        raise ConfigError(
            "MODEL.CRITERION.NAME: ClassicCriterion compares centres within cells, and "
            f"MODEL.BOX_CODER.NAME {type(box_coder).__name__} tells centres otherwise. Fitting: "
            f"{', '.join(sorted(fitting))}"
        )
