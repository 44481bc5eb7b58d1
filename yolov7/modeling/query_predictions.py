"""What query heads say: a set of boxes for each image, once for every layer of the decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from yolov7.ops.box_ops import at_least_float32


@dataclass(frozen=True, eq=False)
class QueryPredictions:
    """Predictions of a transformer's decoder for a batch: one box and its scores per query.

    Letters: L decoder layers, B images, Q queries, C class logits. The last layer is the final one;
    the others exist only to be trained (deep supervision), and a head may leave them away outside
    training, L being 1 then.

    C is K + 1 for heads whose scores are a softmax, the last index being "no object", and K for
    heads whose scores are sigmoids. Which of the two it is, the class loss and the scoring of the
    family know.

    Attributes:
        class_logits: ``(L, B, Q, C)``.
        boxes_norm: ``(L, B, Q, 4)`` (centre x, centre y, width, height) in [0, 1] of each image
            *without* its padding.
        mask_logits: ``(B, Q, h, w)`` of the final layer over the padded batch, at the head's
            resolution, or None.

    Raises:
        ValueError: when the shapes do not belong together.
    """

    class_logits: Tensor
    boxes_norm: Tensor
    mask_logits: Tensor | None = None

    def __post_init__(self) -> None:
        if self.class_logits.dim() != 4 or 0 in self.class_logits.shape[::3]:
            raise ValueError(
                "QueryPredictions.class_logits: expected (layers, images, queries, classes) with "
                f"at least one layer and class, got {tuple(self.class_logits.shape)}"
            )
        layers, batch, queries = self.class_logits.shape[:3]
        if tuple(self.boxes_norm.shape) != (layers, batch, queries, 4):
            raise ValueError(
                f"QueryPredictions.boxes_norm has shape {tuple(self.boxes_norm.shape)}, expected "
                f"{(layers, batch, queries, 4)}: class_logits {tuple(self.class_logits.shape)} say "
                f"{layers} layers, {batch} images and {queries} queries"
            )
        masks = self.mask_logits
        if masks is not None and (masks.dim() != 4 or tuple(masks.shape[:2]) != (batch, queries)):
            raise ValueError(
                f"QueryPredictions.mask_logits has shape {tuple(masks.shape)}, expected "
                f"({batch}, {queries}, height, width)"
            )

    @property
    def num_layers(self) -> int:
        """L, the decoder's layers."""
        return self.class_logits.shape[0]

    @property
    def num_images(self) -> int:
        """B, the images of the batch."""
        return self.class_logits.shape[1]

    @property
    def num_queries(self) -> int:
        """Q, the queries of one image."""
        return self.class_logits.shape[2]

    @property
    def final(self) -> QueryPredictions:
        """The last layer's predictions alone: the same with L = 1."""
        return replace(self, class_logits=self.class_logits[-1:], boxes_norm=self.boxes_norm[-1:])

    def at_least_float32(self) -> QueryPredictions:
        """The same predictions with half-precision tensors raised to float32; float64 stays."""
        masks = self.mask_logits
        return replace(
            self,
            class_logits=at_least_float32(self.class_logits),
            boxes_norm=at_least_float32(self.boxes_norm),
            mask_logits=None if masks is None else at_least_float32(masks),
        )
