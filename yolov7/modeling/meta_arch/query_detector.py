"""What detectors with queries have in common."""

from __future__ import annotations

from typing import Any

from torch import nn

from yolov7.d2 import CfgNode, ImageList
from yolov7.modeling.build import (
    build_backbone,
    build_criterion,
    build_head,
    build_neck,
    build_postprocessor,
    refuse_auxiliary_head,
)
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.padding import TopLeftPadding
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect


class QueryDetector(Detector):
    """As many boxes as queries, most of them "no object"; no suppression. Base of families.

    Any backbone. Batches are as large as their largest image and not rounded up; the padding is 0
    after normalisation (`MODEL.PADDED_VALUE` is not asked).
    """

    @staticmethod
    def parts_from_config(cfg: CfgNode, head_type: type[nn.Module]) -> dict[str, Any]:
        """Build the parts that `MODEL.{BACKBONE,NECK,HEAD,CRITERION}.NAME` say.

        Args:
            cfg: the config.
            head_type: the only head that fits the family.

        Returns:
            `Detector`'s arguments.

        Raises:
            ConfigError: `MODEL.HEAD.NAME` is another head, the criterion or its assigner is for
                dense predictions, there is no class, or a key asks for what only they have.
        """
        classes = cfg.MODEL.YOLO.CLASSES
        expect(classes >= 1, "MODEL.YOLO.CLASSES", "at least 1", classes)
        family = f"META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE}"
        refuse_auxiliary_head(cfg, because=", which trains every layer of its decoder instead")
        coder = cfg.MODEL.BOX_CODER.NAME
        without = f"'' for {family}, whose boxes are relative to the image"
        expect(not coder, "MODEL.BOX_CODER.NAME", without, f"'{coder}'")
        backbone = build_backbone(cfg)
        neck = build_neck(cfg, backbone.output_shape())
        head = build_head(cfg, neck.output_shape())
        if not isinstance(head, head_type):
            raise ConfigError(
                f"MODEL.HEAD.NAME: {family} reads queries, and {cfg.MODEL.HEAD.NAME} has none that "
                f"it knows. Fitting: {head_type.__name__}"
            )
        return {
            "backbone": backbone,
            "neck": neck,
            "head": head,
            "criterion": build_criterion(cfg, of_queries=True),
            "postprocessor": build_postprocessor(cfg, "QueryPostprocessor"),
            "num_classes": classes,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "padded_value": cfg.MODEL.PIXEL_MEAN,
            "padding": TopLeftPadding(max(backbone.size_divisibility, 1)),
        }

    def predict(self, images: ImageList) -> QueryPredictions:
        """The last decoder layer's predictions of normalised, padded images."""
        return super().predict(images).final
