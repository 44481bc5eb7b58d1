"""YOLOX (Ge et al., arXiv:2107.08430): anchor-free, decoupled head, SimOTA."""

from __future__ import annotations

from typing import Any

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, configurable
from yolov7.modeling.build import (
    build_backbone,
    build_box_coder,
    build_dense_criterion,
    build_dense_head,
    build_neck,
    build_postprocessor,
    refuse_auxiliary_head,
)
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class YOLOX(Detector):
    """One box per cell, anchor-free; any backbone, any neck, a dense head that has no anchors.

    The released weights want BGR images in 0-255 without mean and deviation, which
    `configs/_base_/models/yolox.yaml` sets.
    """

    @configurable
    def __init__(self, **parts: Any) -> None:
        """Arguments are `Detector`'s."""
        super().__init__(**parts)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head has anchors, or the assigner wants some; an auxiliary head is
                asked for; or there is one class, whose logit the criterion does not train.
        """
        refuse_auxiliary_head(cfg)
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_dense_head(cfg, neck.output_shape(), with_anchors=False)
        box_coder = build_box_coder(
            cfg, neck.output_shape(), default="YOLOXBoxCoder", with_anchors=False
        )
        criterion = build_dense_criterion(cfg, head, box_coder=box_coder)
        if cfg.MODEL.YOLO.CLASSES == 1 and not getattr(criterion, "trains_single_class", True):
            raise ConfigError(
                f"MODEL.CRITERION.NAME: {cfg.MODEL.CRITERION.NAME} does not train the logit of a "
                "single class, which is part of every score of META_ARCHITECTURE YOLOX. Fitting: "
                "DenseCriterion"
            )
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "criterion": criterion,
            "postprocessor": build_postprocessor(cfg, box_coder=box_coder),
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PADDED_VALUE,
        }
