"""YOLOv7 (Wang, Bochkovskiy, Liao, arXiv:2207.02696): anchors, ELAN, deep supervision."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, configurable
from yolov7.modeling.build import (
    build_backbone,
    build_box_coder,
    build_dense_criterion,
    build_dense_head,
    build_neck,
    build_postprocessor,
)
from yolov7.modeling.heads import AnchorHead
from yolov7.modeling.losses.no_auxiliary import refuse_auxiliary
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.padding import CenteredPadding
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class YOLOV7(Detector):
    """Several boxes a cell around anchors; any backbone, any neck, a head that has anchors.

    With `MODEL.AUXILIARY_HEAD` a second head learns from the neck's taps and is gone after
    training. The released weights want RGB images divided by 255, which
    `configs/_base_/models/yolov7.yaml` sets.
    """

    @configurable
    def __init__(self, **parts: Any) -> None:
        """Arguments are `Detector`'s."""
        super().__init__(**parts)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head has no anchors, the neck nothing for an auxiliary head, or the
                criterion is for another one.
        """
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_dense_head(cfg, neck.output_shape(), with_anchors=True)
        box_coder = build_box_coder(
            cfg, neck.output_shape(), default="YOLOv7BoxCoder", with_anchors=True
        )
        criterion = build_dense_criterion(cfg, head, box_coder=box_coder)
        # The logit of a single class counts where it is trained.
        trains_single_class = getattr(criterion, "trains_single_class", True)
        postprocessor = "DensePostprocessor" if trains_single_class else "AnchorPostprocessor"
        auxiliary_head = _build_auxiliary_head(cfg, neck)
        if not getattr(criterion, "compares_auxiliary", True):
            refuse_auxiliary(criterion, auxiliary_head)
        coarsest = max(spec.stride for spec in neck.output_shape().values())
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "auxiliary_head": auxiliary_head,
            "criterion": criterion,
            "postprocessor": build_postprocessor(cfg, postprocessor, box_coder=box_coder),
            "num_classes": cfg.MODEL.YOLO.CLASSES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PADDED_VALUE,
            # The authors' letterbox: pictures in the middle of the frame.
            "padding": CenteredPadding(max(backbone.size_divisibility, coarsest)),
        }


def _build_auxiliary_head(cfg: CfgNode, neck: nn.Module) -> nn.Module | None:
    if not cfg.MODEL.AUXILIARY_HEAD.CHANNELS:
        return None
    if not hasattr(neck, "auxiliary_shape"):
        raise ConfigError(
            f"MODEL.AUXILIARY_HEAD.CHANNELS: the neck {cfg.MODEL.NECK.NAME} has no taps for an "
            "auxiliary head; use ELANPAFPN, or leave CHANNELS empty"
        )
    return AnchorHead.auxiliary(cfg, neck.auxiliary_shape())
