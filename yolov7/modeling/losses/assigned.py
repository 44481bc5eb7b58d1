"""What criteria of dense predictions share: pairs of an assigner, weights, one count for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from yolov7.modeling.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.losses.diagnostics import log_assignment
from yolov7.modeling.losses.elementwise import check_levels
from yolov7.modeling.losses.no_auxiliary import refuse_auxiliary
from yolov7.modeling.losses.normalization import rank_normalizer
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.targets import Targets


class AssignedCriterion(nn.Module, ABC):
    """Compares dense predictions with targets by the pairs that an assigner chooses.

    A subclass says by :meth:`pair_sums` what the pairs are worth. Its sums are divided by its count
    over the global batch (at least 1, see
    :func:`~yolov7.modeling.losses.normalization.rank_normalizer`).

    All keys are always there: without objects, or with weight 0, a loss is a zero that hangs on the
    graph, so that distributed training never waits for a missing gradient.

    Attributes:
        loss_weights: ``{name: weight}``, read at every call; it may be changed during training.
        compares_auxiliary: False: it has no losses for an auxiliary head.
        level_balance: weight of each level's objectness, finest first; None where levels count
            alike.

    Args:
        assigner: called with predictions, decoded boxes and targets.
        box_coder: of the head's family.
        loss_weights: a weight for each of ``loss_names``.
        loss_names: of the losses that the subclass makes.

    Raises:
        ValueError: when the weights' names are others.
    """

    compares_auxiliary = False
    level_balance: tuple[float, ...] | None = None

    def __init__(
        self,
        *,
        assigner: Assigner,
        box_coder: BoxCoder,
        loss_weights: Mapping[str, float],
        loss_names: Collection[str],
    ) -> None:
        super().__init__()
        if set(loss_weights) != set(loss_names):
            expected = sorted(loss_names)
            raise ValueError(f"loss_weights has {sorted(loss_weights)}, expected {expected}")
        self.assigner = assigner
        self.box_coder = box_coder
        self.loss_weights = dict(loss_weights)

    def forward(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            predictions: of B images. Half precision is raised.
            targets: M objects of the same images.
            auxiliary: must be None: there are no losses for an auxiliary head.

        Returns:
            ``{name: scalar}``, the same names as in ``loss_weights``; their sum is the loss.

        Raises:
            ValueError: for predictions with objectness where the criterion wants none, or without.
            ConfigError: for auxiliary predictions, or another number of levels than the criterion
                has weights for.
        """
        sums, count = self.compare(predictions, targets, auxiliary)
        return self.average(sums, rank_normalizer(count, like=next(iter(sums.values()))))

    def sums(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None = None
    ) -> tuple[dict[str, Tensor], int]:
        """The losses before normalisation, which add up over batches and ranks.

        Args:
            predictions, targets, auxiliary: as for a call.

        Returns:
            ``{name: scalar}``, the weighted sums over this rank's batch, and the count by the sum
            of which they are to be divided.

        Raises:
            as for a call.
        """
        sums, count = self.compare(predictions, targets, auxiliary)
        return sums, int(count)

    @abstractmethod
    def pair_sums(
        self, predictions: DensePredictions, targets: Targets, assignment: Assignment
    ) -> tuple[dict[str, Tensor], int | Tensor]:
        """The losses before they are averaged.

        Args:
            predictions: of B images, float32 or float64.
            targets: M objects of the same images.
            assignment: F pairs of them.

        Returns:
            the weighted sum of each of the loss names, and what they are divided by. Both add up
            over ranks.
        """

    def average(self, sums: Mapping[str, Tensor], count: Tensor) -> dict[str, Tensor]:
        """Losses from what :meth:`pair_sums` gives, the count being positive."""
        return {name: value / count for name, value in sums.items()}

    @torch.no_grad()
    def assign(self, predictions: DensePredictions, targets: Targets) -> tuple[Assignment, Tensor]:
        """The assigner's pairs, and the decoded boxes ``(B, P, 4)`` they were chosen by."""
        boxes = self.box_coder.decode(predictions.box_deltas, *predictions.places())
        return self.assigner(predictions, boxes, targets), boxes

    def check(self, predictions: DensePredictions) -> None:
        """Refuse predictions without objectness, or of another number of levels than have weights.

        Raises:
            ValueError, ConfigError: as for a call.
        """
        if predictions.objectness_logits is None:
            raise ValueError(f"{type(self).__name__} needs predictions with objectness_logits")
        if self.level_balance is not None:
            check_levels(self.level_balance, predictions)

    def weighted_sums(
        self, terms: Mapping[str, Callable[[], Tensor]], *, like: Tensor
    ) -> dict[str, Tensor]:
        """The sum of each term times its weight; terms of weight 0 are not computed.

        Args:
            terms: what makes the losses of each name, of any shape.
            like: a tensor on the graph.
        """
        return {
            # The sum of nothing: 0 times a loss would be NaN for an infinite one.
            name: self.loss_weights[name] * term().sum()
            if self.loss_weights[name] != 0
            else like[:0].sum()
            for name, term in terms.items()
        }

    def compare(
        self, predictions: DensePredictions, targets: Targets, auxiliary: None
    ) -> tuple[dict[str, Tensor], int | Tensor]:
        """What :meth:`pair_sums` says of the assigner's pairs; arguments and errors as a call's."""
        refuse_auxiliary(self, auxiliary)
        self.check(predictions)
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions = predictions.at_least_float32()
            assignment, _ = self.assign(predictions, targets)
            log_assignment(assignment, targets)
            return self.pair_sums(predictions, targets, assignment)
