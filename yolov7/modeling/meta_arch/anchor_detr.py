"""Anchor DETR (Wang et al., arXiv:2109.07107): queries that start from points of the image."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.d2 import META_ARCH_REGISTRY, CfgNode, configurable
from yolov7.modeling.heads import AnchorDETRHead
from yolov7.modeling.meta_arch.query_detector import QueryDetector
from yolov7.modeling.necks import Projection
from yolov7.utils.errors import ConfigError


@META_ARCH_REGISTRY.register()
class AnchorDETR(QueryDetector):
    """Several queries for each of some points, and attention along rows and columns.

    The released weights want RGB images, normalised as `configs/_base_/models/anchor_detr.yaml`
    says. Its points, patterns and attention are `MODEL.ANCHOR_DETR`.
    """

    @configurable
    def __init__(self, **parts: Any) -> None:
        """Arguments are `Detector`'s."""
        super().__init__(**parts)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Raises:
            ConfigError: the head is another family's, or masks are asked for.
        """
        if cfg.MODEL.MASK_ON:
            raise ConfigError(
                "MODEL.MASK_ON: META_ARCHITECTURE AnchorDETR finds boxes alone. Set it to False, "
                "or take META_ARCHITECTURE DETR"
            )
        parts = cls.parts_from_config(cfg, AnchorDETRHead)
        if isinstance(parts["neck"], Projection):
            # The authors' start values; those of DETR's projection are PyTorch's own.
            nn.init.xavier_uniform_(parts["neck"].conv.weight)
            nn.init.zeros_(parts["neck"].conv.bias)
        return parts
