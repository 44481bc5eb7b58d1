"""Transformers: a map's cells and a set of queries that look at them."""

from yolov7.modeling.transformers.decoder import TransformerDecoder, TransformerDecoderLayer
from yolov7.modeling.transformers.encoder import TransformerEncoder, TransformerEncoderLayer
from yolov7.modeling.transformers.expectations import expect_transformer
from yolov7.modeling.transformers.initialization import initialize_xavier
from yolov7.modeling.transformers.residual import (
    PostNormResidual,
    PreNormResidual,
    ResidualFactory,
)

__all__ = [
    "PostNormResidual",
    "PreNormResidual",
    "ResidualFactory",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "expect_transformer",
    "initialize_xavier",
]
