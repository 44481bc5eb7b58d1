"""Postprocessing of detectors whose single class is trained as objectness alone."""

from __future__ import annotations

from yolov7.modeling.postprocessing.dense import Candidates, DensePostprocessor
from yolov7.modeling.predictions import DensePredictions, certain_if_single
from yolov7.modeling.registries import POSTPROCESSOR_REGISTRY


@POSTPROCESSOR_REGISTRY.register()
class AnchorPostprocessor(DensePostprocessor):
    """`DensePostprocessor`, but the score of a single class is the objectness alone.

    For criteria that train no class logit when there is one class (`AnchorCriterion`): that logit
    must not weaken the scores.
    """

    def candidates(self, predictions: DensePredictions) -> list[Candidates]:
        """What reaches the threshold in each image; see `DensePostprocessor`."""
        return super().candidates(certain_if_single(predictions))
