"""DETR (Carion et al., arXiv:2005.12872): a transformer that predicts a set of objects."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, ImageList, configurable
from yolov7.modeling.build import (
    build_backbone,
    build_criterion,
    build_head,
    build_neck,
    build_postprocessor,
)
from yolov7.modeling.heads import DETRHead
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.padding import TopLeftPadding
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class DETR(Detector):
    """As many boxes as queries, most of them "no object"; no anchors and no suppression.

    Any backbone. Batches are as large as their largest image and not rounded up; the padding is 0
    after normalisation (`MODEL.PADDED_VALUE` is not asked). The released weights want RGB images,
    normalised as `configs/_base_/models/detr.yaml` says. With `MODEL.MASK_ON` masks come beside the
    boxes, and `MODEL.DETR.FREEZE_DETECTOR` trains their head alone.
    """

    @configurable
    def __init__(self, *, freeze_detector: bool = False, **parts: Any) -> None:
        """
        Args:
            freeze_detector: leave everything but the mask head as it is.
            parts: `Detector`'s.

        Raises:
            ConfigError: there is no mask head to train.
        """
        super().__init__(**parts)
        if freeze_detector:
            self._freeze_all_but_masks()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head has no queries.
        """
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_head(cfg, neck.output_shape())
        if not isinstance(head, DETRHead):
            raise ConfigError(
                f"MODEL.HEAD.NAME: META_ARCHITECTURE DETR reads queries, and {cfg.MODEL.HEAD.NAME} "
                "has none that it knows. Fitting: DETRHead"
            )
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "criterion": build_criterion(cfg),
            "postprocessor": build_postprocessor(cfg, "QueryPostprocessor"),
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PIXEL_MEAN,
            "padding": TopLeftPadding(max(backbone.size_divisibility, 1)),
            "with_masks": cfg.MODEL.MASK_ON,
            "freeze_detector": cfg.MODEL.DETR.FREEZE_DETECTOR,
        }

    def predict(self, images: ImageList) -> QueryPredictions:
        """The last decoder layer's predictions of normalised, padded images."""
        return super().predict(images).final

    def _freeze_all_but_masks(self) -> None:
        mask_head: nn.Module | None = self.head.mask_head
        if mask_head is None:
            raise ConfigError(
                "MODEL.DETR.FREEZE_DETECTOR leaves nothing to train without MODEL.MASK_ON: set "
                "both, or neither"
            )
        self.requires_grad_(False)
        mask_head.requires_grad_(True)
