"""Postprocessing of the anchor families."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from yolov7.d2 import ImageList, Instances
from yolov7.modeling.losses.anchor import certain_if_single
from yolov7.modeling.postprocessing.dense import DensePostprocessor
from yolov7.modeling.predictions import DensePredictions
from yolov7.modeling.registries import POSTPROCESSOR_REGISTRY


@POSTPROCESSOR_REGISTRY.register()
class AnchorPostprocessor(DensePostprocessor):
    """`DensePostprocessor`, but the score of a single class is the objectness alone.

    `AnchorCriterion` trains no class logit when there is one class, so that logit must not weaken
    the scores.
    """

    def __call__(
        self,
        predictions: DensePredictions,
        images: ImageList,
        original_sizes: Sequence[tuple[int, int]],
        offsets: Tensor | Sequence[tuple[float, float]],
    ) -> list[Instances]:
        """Detections of every image; see `DensePostprocessor`."""
        return super().__call__(certain_if_single(predictions), images, original_sizes, offsets)
