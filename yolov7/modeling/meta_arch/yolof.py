"""YOLOF (Chen et al., arXiv:2103.09460): one map instead of a pyramid, uniform matching."""

from __future__ import annotations

from typing import Any

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, configurable
from yolov7.modeling.build import (
    build_backbone,
    build_box_coder,
    build_dense_criterion,
    build_head,
    build_neck,
    build_postprocessor,
    refuse_auxiliary_head,
)
from yolov7.modeling.heads import YOLOFHead
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.padding import TopLeftPadding
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class YOLOF(Detector):
    """Square anchors on one map, of any backbone, whose class scores hold the objectness.

    The released weights want BGR images in 0-255 less a mean, which
    `configs/_base_/models/yolof.yaml` sets. Batches are padded with that mean, to no more than
    their largest image where the backbone takes images of any size.
    """

    @configurable
    def __init__(self, **parts: Any) -> None:
        """Arguments are `Detector`'s."""
        super().__init__(**parts)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: head, criterion or assigner are for predictions with an objectness of their
                own, or an auxiliary head is asked for.
        """
        refuse_auxiliary_head(cfg)
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_head(cfg, neck.output_shape())
        if not isinstance(head, YOLOFHead):
            raise ConfigError(
                "MODEL.HEAD.NAME: META_ARCHITECTURE YOLOF has no objectness beside its class "
                f"scores, as {cfg.MODEL.HEAD.NAME} has. Fitting: YOLOFHead"
            )
        box_coder = build_box_coder(
            cfg, neck.output_shape(), default="YOLOFBoxCoder", with_anchors=True
        )
        criterion = build_dense_criterion(cfg, head, box_coder=box_coder)
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "criterion": criterion,
            "postprocessor": build_postprocessor(cfg, box_coder=box_coder),
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PIXEL_MEAN,
            "padding": TopLeftPadding(max(backbone.size_divisibility, 1)),
        }
