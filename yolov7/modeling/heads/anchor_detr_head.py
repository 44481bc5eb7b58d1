"""Anchor DETR's head: boxes from queries that start at anchor points (arXiv:2109.07107)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ImageList, ShapeSpec, configurable
from yolov7.layers import MLP
from yolov7.modeling.padding_mask import has_padding, padding_mask, resized
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import query_scores
from yolov7.modeling.registries import HEAD_REGISTRY
from yolov7.modeling.transformers import (
    TransformerDecoder,
    TransformerEncoder,
    expect_transformer,
)
from yolov7.modeling.transformers.anchor_detr import AnchorTransformer
from yolov7.modeling.transformers.anchor_points import POINTS
from yolov7.modeling.transformers.anchor_positions import ATTENTIONS
from yolov7.ops.box_ops import at_least_float32
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up

_LOGIT_EPSILON = 1e-5


@HEAD_REGISTRY.register()
class AnchorDETRHead(nn.Module):
    """Reads class and box of every query from the coarsest map.

    A box's centre is told relative to the query's anchor point, its size outright. The layers of
    the decoder share one class and one box predictor, which run once for all layers together. The
    map must be as wide as the transformer already; the neck `Projection` makes it so.
    """

    of_queries = True

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        num_logits: int,
        transformer: AnchorTransformer,
        prior_probability: float = 0.01,
    ) -> None:
        """
        Args:
            input_shape: the neck's `output_shape()`; the coarsest map's channels are D.
            num_logits: C, class logits of a query.
            transformer: of D channels.
            prior_probability: what the untrained head says for every class.

        Raises:
            ConfigError: the prior is not strictly between 0 and 1.
        """
        super().__init__()
        key = "MODEL.HEAD.PRIOR_PROBABILITY"
        expect(0.0 < prior_probability < 1.0, key, "between 0 and 1", prior_probability)
        self._name, coarsest = max(input_shape.items(), key=lambda item: item[1].stride)
        self.transformer = transformer
        self.class_predictor = nn.Linear(coarsest.channels, num_logits)
        self.box_predictor = MLP(coarsest.channels, coarsest.channels, 4, num_layers=3)
        prior_logit = math.log(prior_probability / (1.0 - prior_probability))
        nn.init.constant_(self.class_predictor.bias, prior_logit)
        # At first every box lies around its anchor point, an eighth of the image in size.
        last = self.box_predictor.layers[-1]
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, 0.0, -2.0, -2.0]))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Layers, points and kind of attention from `MODEL.ANCHOR_DETR`.

        Raises:
            ConfigError: there is no such kind of points or of attention, there are no queries, or
                the numbers of `MODEL.ANCHOR_DETR` do not fit the map.
        """
        detr = cfg.MODEL.ANCHOR_DETR
        for name in ("NUM_POINTS", "NUM_PATTERNS"):
            expect(detr[name] >= 1, f"MODEL.ANCHOR_DETR.{name}", "at least 1", detr[name])
        channels = max(input_shape.values(), key=lambda spec: spec.stride).channels
        expect_transformer(detr, "MODEL.ANCHOR_DETR", channels=channels)
        attention = look_up(ATTENTIONS, detr.ATTENTION, "MODEL.ANCHOR_DETR.ATTENTION")
        points = look_up(POINTS, detr.POINTS, "MODEL.ANCHOR_DETR.POINTS")
        layer = {
            "num_heads": detr.NHEADS,
            "feedforward_channels": detr.DIM_FEEDFORWARD,
            "dropout": detr.DROPOUT,
        }
        return {
            "input_shape": input_shape,
            "num_logits": query_scores(cfg).num_logits(cfg.MODEL.YOLO.CLASSES),
            "prior_probability": cfg.MODEL.HEAD.PRIOR_PROBABILITY,
            "transformer": AnchorTransformer(
                channels=channels,
                points=points(detr.NUM_POINTS),
                num_patterns=detr.NUM_PATTERNS,
                positions=attention.positions(channels),
                encoder=TransformerEncoder(
                    [attention.encoder_layer(channels, **layer) for _ in range(detr.ENC_LAYERS)]
                ),
                decoder=TransformerDecoder(
                    [attention.decoder_layer(channels, **layer) for _ in range(detr.DEC_LAYERS)],
                    norm=nn.Identity(),
                ),
            ),
        }

    def forward(self, features: Mapping[str, Tensor], images: ImageList) -> QueryPredictions:
        """Predict from the neck's map; the padding of `images` is kept out of every attention."""
        cells = features[self._name]
        padding = None
        if has_padding(images):
            padding = resized(padding_mask(images), cells.shape[-2:])
        states, points = self.transformer(cells, padding)
        # In half precision a sigmoid is too coarse for the edges of boxes.
        boxes = at_least_float32(self.box_predictor(states))
        centers = boxes[..., :2] + logits_of(points)
        return QueryPredictions(
            class_logits=self.class_predictor(states),
            boxes_norm=torch.cat([centers, boxes[..., 2:]], dim=-1).sigmoid(),
        )

    def to_deploy(self) -> AnchorDETRHead:
        """Read the last layer alone; the others' predictions are there to be trained."""
        self.transformer.decoder.read_last_only()
        return self


def logits_of(points: Tensor) -> Tensor:
    """The inverse of the sigmoid, finite everywhere; beside [0, 1] that of the nearest border."""
    points = at_least_float32(points).clamp(0.0, 1.0)
    return (points.clamp(min=_LOGIT_EPSILON) / (1.0 - points).clamp(min=_LOGIT_EPSILON)).log()
