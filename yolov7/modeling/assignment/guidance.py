"""What an auxiliary head learns from: the lead head's assignment, a coarser one, or its own."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from yolov7.d2 import CfgNode, configurable
from yolov7.modeling.assignment.assignment import Assigner, Assignment
from yolov7.modeling.box_coders import BoxCoder
from yolov7.modeling.build import build_assigner
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import GUIDANCE_REGISTRY
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError


class Guidance(Protocol):
    """Chooses the pairs of an auxiliary head, whose predictions lie where the lead's do."""

    def __call__(
        self,
        lead_assignment: Assignment,
        lead: DensePredictions,
        lead_boxes: Tensor,
        auxiliary: DensePredictions,
        targets: Targets,
    ) -> Assignment:
        """The pairs, given what the lead head was assigned, predicts and decodes to."""
        ...


@GUIDANCE_REGISTRY.register()
class CoarseToFine:
    """Coarse labels for the auxiliary head, guided by the lead (arXiv 2207.02696, figure 5e).

    The lead head's predictions decide as for itself, but with more candidates an object: the
    auxiliary head, which learns less well, is to find objects rather than to be precise.

    Args:
        assigner: the coarser assigner.
    """

    @configurable
    def __init__(self, *, assigner: Assigner) -> None:
        self.assigner = assigner

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER`` and ``MODEL.CRITERION.AUXILIARY_CELLS``.

        Raises:
            ConfigError: the assigner does not count cells.
        """
        assigner = build_assigner(cfg)
        if not hasattr(assigner, "with_num_cells"):
            raise ConfigError(
                f"MODEL.CRITERION.GUIDANCE: CoarseToFine asks for an assigner with "
                f"AUXILIARY_CELLS cells an object, which {cfg.MODEL.ASSIGNER.NAME} does not count. "
                "Take MODEL.ASSIGNER.NAME OTA or AnchorRatio, or another GUIDANCE"
            )
        return {"assigner": assigner.with_num_cells(cfg.MODEL.CRITERION.AUXILIARY_CELLS)}

    def __call__(
        self,
        lead_assignment: Assignment,
        lead: DensePredictions,
        lead_boxes: Tensor,
        auxiliary: DensePredictions,
        targets: Targets,
    ) -> Assignment:
        """Assign anew, with the lead's predictions."""
        return self.assigner(lead, lead_boxes, targets)


@GUIDANCE_REGISTRY.register()
class LeadGuided:
    """The lead head's own labels, for both heads (arXiv 2207.02696, figure 5d)."""

    @configurable
    def __init__(self) -> None:
        pass

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, object]:
        """Nothing to read."""
        return {}

    def __call__(
        self,
        lead_assignment: Assignment,
        lead: DensePredictions,
        lead_boxes: Tensor,
        auxiliary: DensePredictions,
        targets: Targets,
    ) -> Assignment:
        """The lead's assignment itself."""
        return lead_assignment


@GUIDANCE_REGISTRY.register()
class Independent:
    """Labels from the auxiliary head's own predictions (arXiv 2207.02696, figure 5c).

    Args:
        assigner: called with the auxiliary predictions.
        box_coder: decodes them.
    """

    @configurable
    def __init__(self, *, assigner: Assigner, box_coder: BoxCoder) -> None:
        self.assigner = assigner
        self.box_coder = box_coder

    @classmethod
    def from_config(cls, cfg: CfgNode, *, box_coder: BoxCoder) -> dict[str, object]:
        """Read ``MODEL.ASSIGNER``."""
        return {"assigner": build_assigner(cfg), "box_coder": box_coder}

    @torch.no_grad()
    def __call__(
        self,
        lead_assignment: Assignment,
        lead: DensePredictions,
        lead_boxes: Tensor,
        auxiliary: DensePredictions,
        targets: Targets,
    ) -> Assignment:
        """Assign anew, with the auxiliary predictions."""
        boxes = self.box_coder.decode(auxiliary.box_deltas, *auxiliary.places())
        return self.assigner(auxiliary, boxes, targets)
