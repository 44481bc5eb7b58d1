"""DETR's head: a transformer that turns learned queries into boxes (arXiv:2005.12872)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.d2 import CfgNode, ImageList, ShapeSpec, configurable
from yolov7.layers import MLP, POSITION_ENCODINGS
from yolov7.modeling.heads.detr_mask_head import DETRMaskHead
from yolov7.modeling.padding_mask import has_padding, padding_mask, resized
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.query_scores import query_scores
from yolov7.modeling.registries import HEAD_REGISTRY
from yolov7.modeling.transformers import (
    PostNormResidual,
    PreNormResidual,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    expect_transformer,
    initialize_xavier,
)
from yolov7.utils.expectations import expect
from yolov7.utils.names import look_up


@HEAD_REGISTRY.register()
class DETRHead(nn.Module):
    """Encodes the coarsest map, decodes queries from it, and reads a class and a box from each.

    The layers of the decoder share one class and one box predictor, which run once for all layers
    together. The map must be as wide as the transformer already; the neck `Projection` makes it so.
    """

    of_queries = True

    @configurable
    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        num_logits: int,
        encoder: TransformerEncoder,
        decoder: TransformerDecoder,
        position_encoding: nn.Module,
        num_queries: int = 100,
        class_prior: float | None = None,
        mask_head: DETRMaskHead | None = None,
    ) -> None:
        """
        Args:
            input_shape: the neck's `output_shape()`; the coarsest map's channels are D.
            num_logits: C, class logits of a query.
            encoder, decoder: of D channels.
            position_encoding: padding mask (B, h, w) to (B, h, w, D).
            num_queries: Q, boxes of an image.
            class_prior: what the untrained head says for every class; None leaves it at chance,
                as for a softmax.
            mask_head: makes masks too, from all the maps; None for boxes alone.

        Raises:
            ConfigError: the prior is not strictly between 0 and 1.
        """
        super().__init__()
        self._names = sorted(input_shape, key=lambda name: -input_shape[name].stride)
        channels = input_shape[self._names[0]].channels
        self.position_encoding = position_encoding
        self.encoder = encoder
        self.decoder = decoder
        self.queries = nn.Embedding(num_queries, channels)
        self.class_predictor = nn.Linear(channels, num_logits)
        self.box_predictor = MLP(channels, channels, 4, num_layers=3)
        self.mask_head = mask_head
        if class_prior is not None:
            key = "MODEL.HEAD.PRIOR_PROBABILITY"
            expect(0.0 < class_prior < 1.0, key, "between 0 and 1", class_prior)
            nn.init.constant_(self.class_predictor.bias, math.log(class_prior / (1 - class_prior)))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Layers from `MODEL.DETR`, logits as `MODEL.CRITERION.CLASS_LOSS` wants them.

        `MODEL.MASK_ON` adds a mask head. Logits that are sigmoids start at
        `MODEL.HEAD.PRIOR_PROBABILITY`.

        Raises:
            ConfigError: there are no queries, no such positions, or the numbers of `MODEL.DETR` do
                not fit the maps.
        """
        detr, scores = cfg.MODEL.DETR, query_scores(cfg)
        coarse, *finer = sorted(input_shape.values(), key=lambda spec: -spec.stride)
        expect_transformer(detr, "MODEL.DETR", channels=coarse.channels)
        num_queries = detr.NUM_OBJECT_QUERIES
        expect(num_queries >= 1, "MODEL.DETR.NUM_OBJECT_QUERIES", "at least 1", num_queries)
        kind = {
            "num_heads": detr.NHEADS,
            "feedforward_channels": detr.DIM_FEEDFORWARD,
            "dropout": detr.DROPOUT,
            "residual": PreNormResidual if detr.PRE_NORM else PostNormResidual,
        }
        encoder = TransformerEncoder(
            [TransformerEncoderLayer(coarse.channels, **kind) for _ in range(detr.ENC_LAYERS)],
            norm=nn.LayerNorm(coarse.channels) if detr.PRE_NORM else None,
        )
        decoder = TransformerDecoder(
            [TransformerDecoderLayer(coarse.channels, **kind) for _ in range(detr.DEC_LAYERS)],
            norm=nn.LayerNorm(coarse.channels),
        )
        initialize_xavier(encoder)
        initialize_xavier(decoder)
        mask_head = None
        if cfg.MODEL.MASK_ON:
            mask_head = DETRMaskHead(
                coarse.channels, detr.NHEADS, context_channels=[spec.channels for spec in finer]
            )
        positions = look_up(POSITION_ENCODINGS, detr.POSITIONS, "MODEL.DETR.POSITIONS")
        return {
            "input_shape": input_shape,
            "num_logits": scores.num_logits(cfg.MODEL.YOLO.CLASSES),
            "class_prior": None if scores.has_no_object else cfg.MODEL.HEAD.PRIOR_PROBABILITY,
            "encoder": encoder,
            "decoder": decoder,
            "position_encoding": positions(coarse.channels),
            "num_queries": num_queries,
            "mask_head": mask_head,
        }

    def forward(self, features: Mapping[str, Tensor], images: ImageList) -> QueryPredictions:
        """Predict from the neck's maps; the padding of `images` is kept out of every attention."""
        projected, *finer = (features[name] for name in self._names)
        padding = resized(padding_mask(images), projected.shape[-2:])
        cells = projected.flatten(2).transpose(1, 2).contiguous()
        positions = self.position_encoding(padding).flatten(1, 2).to(cells.dtype)
        # Attention without a mask is faster, and the same where nothing is padding.
        hidden = padding.flatten(1) if has_padding(images) else None
        memory = self.encoder(cells, positions, hidden)
        queries = self.queries.weight.expand(len(memory), -1, -1)
        start, keys = torch.zeros_like(queries), memory + positions
        states = self.decoder(start, queries, keys, memory, hidden)
        masks = None
        if self.mask_head is not None:
            grid = memory.unflatten(1, projected.shape[-2:])
            masks = self.mask_head(states[-1], grid, padding, projected, finer)
        return QueryPredictions(
            class_logits=self.class_predictor(states),
            boxes_norm=self.box_predictor(states).sigmoid(),
            mask_logits=masks,
        )

    def to_deploy(self) -> DETRHead:
        """Read the last layer alone; the others' predictions are there to be trained."""
        self.decoder.read_last_only()
        return self
