"""YOLOv4 (Bochkovskiy, Wang, Liao, arXiv:2004.10934): anchors with exponential sizes."""

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


@META_ARCH_REGISTRY.register()
class YOLOV4(Detector):
    """Several boxes a cell around anchors, read by `YOLOv4BoxCoder` unless a key says otherwise.

    Any backbone, any neck, a head that has anchors. The released weights want RGB images divided by
    255, which `configs/_base_/models/yolov4.yaml` sets.
    """

    @configurable
    def __init__(self, **parts: Any) -> None:
        """Arguments are `Detector`'s."""
        super().__init__(**parts)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,BOX_CODER,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head or the coder has no anchors, or an auxiliary head is asked for.
        """
        refuse_auxiliary_head(cfg)
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_dense_head(cfg, neck.output_shape(), with_anchors=True)
        box_coder = build_box_coder(
            cfg, neck.output_shape(), default="YOLOv4BoxCoder", with_anchors=True
        )
        criterion = build_dense_criterion(cfg, head, box_coder=box_coder)
        # The logit of a single class counts where it is trained.
        trains_single_class = getattr(criterion, "trains_single_class", True)
        postprocessor = "DensePostprocessor" if trains_single_class else "AnchorPostprocessor"
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "criterion": criterion,
            "postprocessor": build_postprocessor(cfg, postprocessor, box_coder=box_coder),
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PADDED_VALUE,
        }
