"""What evaluators of every protocol share: predictions of all ranks, the data set, the pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from yolov7.d2 import DatasetEvaluator
from yolov7.evaluation.collector import (
    PredictionCollector,
    check_predictions,
    save_predictions,
)
from yolov7.evaluation.dataset import EvaluatedDataset, load_evaluated_dataset
from yolov7.evaluation.detections import Detections, ImageDetections
from yolov7.evaluation.diagnostics import ConfusionThresholds, diagnose
from yolov7.evaluation.matching import Matches

logger = logging.getLogger(__name__)


class CollectingEvaluator(DatasetEvaluator):
    """Collects predictions and hands them over, checked; a protocol is a subclass.

    Attributes:
        match: which detection found which object, by the protocol.
    """

    match: Callable[..., Matches]

    def __init__(
        self,
        dataset_name: str,
        *,
        with_masks: bool,
        output_dir: str | Path | None,
        confusion_thresholds: ConfusionThresholds,
        write_detections: bool,
        distributed: bool,
    ):
        """Set up an evaluation; the data set is read when it is first needed.

        Args:
            dataset_name: a registered data set.
            with_masks: whether masks are compared, too.
            output_dir: folder for the detections, and for the curves and the confusion matrix of
                boxes; None writes nothing.
            confusion_thresholds: what counts in the confusion matrix.
            write_detections: write the detections too, unless they come from a file anyway.
            distributed: collect the predictions of all ranks; False evaluates this rank's alone.
        """
        self._name = dataset_name
        self._with_masks = with_masks
        self._output_dir = None if output_dir is None else Path(output_dir)
        self._confusion_thresholds = confusion_thresholds
        self._write_detections = write_detections
        self._collector = PredictionCollector(with_masks=with_masks, distributed=distributed)
        self._dataset: EvaluatedDataset | None = None

    @property
    def dataset(self) -> EvaluatedDataset:
        """The data set, which is read at the first use."""
        if self._dataset is None:
            self._dataset = load_evaluated_dataset(self._name, with_masks=self._with_masks)
        return self._dataset

    def reset(self) -> None:
        """Forget all predictions."""
        self._collector.reset()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Remember the detections of a batch, see `PredictionCollector.process`."""
        self._collector.process(inputs, outputs)

    def add(self, images: Sequence[ImageDetections]) -> None:
        """Remember detections that are not fresh from a model."""
        self._collector.add(images)

    def _predictions(self) -> list[ImageDetections]:
        """Hand over the checked predictions of all ranks, and write them if asked to.

        Empty on ranks other than 0, and when not one image was processed.
        """
        predictions = self._collector.gather()
        if predictions is None:
            return []
        if not predictions:
            logger.warning(f"{self._name}: no image was processed, there is nothing to evaluate.")
            return []
        predictions = check_predictions(predictions, self.dataset)
        if self._output_dir is not None and self._write_detections:
            save_predictions(predictions, self.dataset, self._output_dir)
        return predictions

    def _draw(
        self, detections: Detections, dataset: EvaluatedDataset, *, ap50: Sequence[float]
    ) -> None:
        """Write curves and confusion matrix of boxes, if there is a folder for them.

        Args:
            detections: what was found.
            dataset: the data set, or the part of it that is evaluated.
            ap50: (K,) ×100, the protocol's own numbers, in the order of the class indices.
        """
        if self._output_dir is None:
            return
        diagnosis = diagnose(self.match, detections, dataset, self._confusion_thresholds)
        diagnosis.write(self._output_dir, ap50=ap50)
