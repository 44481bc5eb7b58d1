"""DETR (Carion et al., arXiv:2005.12872): a transformer that predicts a set of objects."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, configurable
from yolov7.modeling.heads import DETRHead
from yolov7.modeling.meta_arch.query_detector import QueryDetector
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class DETR(QueryDetector):
    """Queries that learn where to look; no anchors.

    The released weights want RGB images, normalised as `configs/_base_/models/detr.yaml` says. With
    `MODEL.MASK_ON` masks come beside the boxes, and `MODEL.DETR.FREEZE_DETECTOR` trains their head
    alone.
    """

    @configurable
    def __init__(self, *, freeze_detector: bool = False, **parts: Any) -> None:
        """
        Args:
            freeze_detector: leave everything but the mask head as it is, without dropout and with
                batch norms that keep still.
            parts: `Detector`'s.

        Raises:
            ConfigError: there is no mask head to train.
        """
        super().__init__(**parts)
        self._frozen = freeze_detector
        if freeze_detector:
            self._freeze_all_but_masks()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head has no queries.
        """
        return {
            **cls.parts_from_config(cfg, DETRHead),
            "with_masks": cfg.MODEL.MASK_ON,
            "freeze_detector": cfg.MODEL.DETR.FREEZE_DETECTOR,
        }

    def initialize_weights(self) -> None:
        """A fresh training without weights: see `yolov7.engine.initial_weights`.

        Raises:
            ConfigError: the detector would stay frozen at random weights.
        """
        if self._frozen:
            raise ConfigError(
                "MODEL.DETR.FREEZE_DETECTOR: the detector would stay frozen at random weights. "
                "Name a trained one as MODEL.WEIGHTS, or set it to False to train both together"
            )

    def train(self, mode: bool = True) -> DETR:
        """Set the mode; a frozen detector stays in eval mode, its mask head does not."""
        super().train(mode)
        if self._frozen:
            for part in (self.backbone, self.neck, self.head):
                part.eval()
            self.head.mask_head.train(mode)
        return self

    def _freeze_all_but_masks(self) -> None:
        mask_head: nn.Module | None = self.head.mask_head
        if mask_head is None:
            raise ConfigError(
                "MODEL.DETR.FREEZE_DETECTOR leaves nothing to train without MODEL.MASK_ON: set "
                "both, or neither"
            )
        self.requires_grad_(False)
        mask_head.requires_grad_(True)
        self.train(self.training)
