"""Losses of a lead head and of an auxiliary head that is guided by it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment import Assigner, Guidance
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import find_component
from yolov7.modeling.losses.anchor import AnchorCriterion
from yolov7.modeling.losses.diagnostics import log_assignment
from yolov7.modeling.losses.normalization import rank_normalizer
from yolov7.modeling.predictions import DensePredictions, certain_if_single
from yolov7.modeling.registries import CRITERION_REGISTRY, GUIDANCE_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect


@CRITERION_REGISTRY.register()
class AuxiliaryCriterion(nn.Module):
    """Deep supervision with label guidance (YOLOv7, arXiv 2207.02696, section 4.2).

    Both heads are compared with the targets in the same way; the guidance decides which labels the
    auxiliary head gets: coarser ones of the lead head, the lead head's own, or independent ones.

    Losses are those of ``AnchorCriterion``, and the auxiliary head's, times ``auxiliary_weight``,
    as ``loss_auxiliary_box``, ``loss_auxiliary_objectness``, ``loss_auxiliary_class``.

    Args:
        lead: the lead head's criterion, which also compares the auxiliary head.
        guidance: chooses the auxiliary head's pairs.
        auxiliary_weight: weight of its losses (the authors: 0.25).
    """

    trains_single_class = AnchorCriterion.trains_single_class

    @configurable
    def __init__(
        self, *, lead: AnchorCriterion, guidance: Guidance, auxiliary_weight: float = 0.25
    ) -> None:
        super().__init__()
        key = "MODEL.CRITERION.AUXILIARY_WEIGHT"
        expect(auxiliary_weight >= 0, key, "a number >= 0", auxiliary_weight)
        self.lead = lead
        self.guidance = guidance
        self.auxiliary_weight = auxiliary_weight

    @property
    def assigner(self) -> Assigner:
        """The lead head's."""
        return self.lead.assigner

    @property
    def level_balance(self) -> tuple[float, ...]:
        """The lead's, which counts for both heads."""
        return self.lead.level_balance

    @property
    def loss_weights(self) -> dict[str, float]:
        """The lead's, which may be changed in place and count for both heads."""
        return self.lead.loss_weights

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, Any]:
        """Read ``MODEL.CRITERION`` and ``MODEL.ASSIGNER``; the family gives the coder.

        A model without auxiliary head is not refused before it trains: deployed weights have none.
        """
        criterion = cfg.MODEL.CRITERION
        guidance = find_component(GUIDANCE_REGISTRY, criterion.GUIDANCE, "MODEL.CRITERION.GUIDANCE")
        return {
            "lead": AnchorCriterion(cfg, box_coder=box_coder),
            "guidance": guidance(cfg, box_coder=box_coder),
            "auxiliary_weight": criterion.AUXILIARY_WEIGHT,
        }

    def forward(
        self, predictions: DensePredictions, targets: Targets, auxiliary: DensePredictions
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            predictions: the lead head's, of B images, with objectness. Half precision is raised.
            targets: M objects of the same images.
            auxiliary: the auxiliary head's, at the same places with the same anchors.

        Returns:
            ``{name: scalar}`` of six losses; their sum is the loss.

        Raises:
            ValueError: for auxiliary predictions of another shape.
            ConfigError: for no auxiliary predictions, or another number of levels than the lead's
                ``level_balance`` has.
        """
        losses = [
            self.lead.average(sums, rank_normalizer(counts, like=counts))
            for sums, counts in self._of_batch(predictions, targets, auxiliary)
        ]
        return self._together(*losses)

    def sums(
        self, predictions: DensePredictions, targets: Targets, auxiliary: DensePredictions
    ) -> tuple[dict[str, Tensor], int]:
        """Losses that add up over batches, as ``AnchorCriterion.sums``."""
        images = predictions.num_images
        losses = [
            self.lead.average(sums, counts.clamp(min=1))
            for sums, counts in self._of_batch(predictions, targets, auxiliary)
        ]
        return {name: loss * images for name, loss in self._together(*losses).items()}, images

    @staticmethod
    def check_auxiliary(auxiliary: nn.Module | DensePredictions | None) -> None:
        """Refuse a training without an auxiliary head, or without its predictions.

        Raises:
            ConfigError: it is None.
        """
        if auxiliary is None:
            raise ConfigError(
                "MODEL.CRITERION.NAME: AuxiliaryCriterion needs an auxiliary head to train. Set "
                "MODEL.AUXILIARY_HEAD.CHANNELS, or take AnchorCriterion"
            )

    def _of_batch(
        self, predictions: DensePredictions, targets: Targets, auxiliary: DensePredictions | None
    ) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Sums and counts by level of the lead head, then of the auxiliary head."""
        self.check_auxiliary(auxiliary)
        if auxiliary.class_logits.shape != predictions.class_logits.shape:
            raise ValueError(
                f"the auxiliary head predicts {tuple(auxiliary.class_logits.shape)} classes of "
                f"places, the lead head {tuple(predictions.class_logits.shape)}: they must be equal"
            )
        for part in (predictions, auxiliary):
            self.lead.check(part)
        with torch.autocast(predictions.class_logits.device.type, enabled=False):
            predictions, auxiliary = predictions.at_least_float32(), auxiliary.at_least_float32()
            assignment, boxes = self.lead.assign(predictions, targets)
            log_assignment(assignment, targets)
            guided = self.guidance(
                assignment,
                certain_if_single(predictions),
                boxes,
                certain_if_single(auxiliary),
                targets,
            )
            return [
                self.lead.pair_sums(predictions, targets, assignment),
                self.lead.pair_sums(auxiliary, targets, guided),
            ]

    def _together(self, lead: dict[str, Tensor], auxiliary: dict[str, Tensor]) -> dict[str, Tensor]:
        renamed = {
            name.replace("loss_", "loss_auxiliary_"): self.auxiliary_weight * loss
            for name, loss in auxiliary.items()
        }
        return {**lead, **renamed}
