"""COCO's numbers for boxes and masks."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolov7.evaluation.backends import Backend, PrecisionRecall, choose_backend
from yolov7.evaluation.collecting import CollectingEvaluator
from yolov7.evaluation.collector import join_predictions
from yolov7.evaluation.dataset import EvaluatedDataset
from yolov7.evaluation.diagnostics import DEFAULT_THRESHOLDS, ConfusionThresholds
from yolov7.evaluation.matching import match_as_coco
from yolov7.evaluation.report import class_metrics, class_table, coco_lines, named_metrics

logger = logging.getLogger(__name__)

_TASKS = ("bbox", "segm")


class COCOEvaluator(CollectingEvaluator):
    """Evaluate detections by COCO's protocol; the numbers are pycocotools', to the last bit.

    The ground truth is the data set's json file as it lies on disk, crowds included; a data set
    registered without one is converted from its records. All of its images count: one for which
    the model gave nothing, or which it never saw, counts with no detections (and is reported).
    """

    match = staticmethod(match_as_coco)

    def __init__(
        self,
        dataset_name: str,
        *,
        output_dir: str | Path | None = None,
        tasks: Sequence[str] = ("bbox",),
        max_detections: int = 100,
        confusion_thresholds: ConfusionThresholds = DEFAULT_THRESHOLDS,
        write_detections: bool = True,
        distributed: bool = True,
        backend: Backend | None = None,
    ):
        """Set up an evaluation; the data set is read when it is first needed.

        Args:
            dataset_name, output_dir, confusion_thresholds, write_detections, distributed: see
                `CollectingEvaluator`.
            tasks: `"bbox"` for boxes, `"segm"` for masks.
            max_detections: the highest number of detections that count per image and category;
                COCO's 100 unless a data set is crowded. Recall is also given for 1 and 10.
            backend: the matching engine; by default the fastest one installed.

        Raises:
            ValueError: an unknown task or a limit below 1.
        """
        unknown = sorted(set(tasks) - set(_TASKS))
        if unknown or not tasks:
            raise ValueError(f"tasks must be among {', '.join(_TASKS)}, got {tuple(tasks)}")
        if max_detections < 1:
            raise ValueError(f"max_detections must be at least 1, got {max_detections}")
        super().__init__(
            dataset_name,
            with_masks="segm" in tasks,
            output_dir=output_dir,
            confusion_thresholds=confusion_thresholds,
            write_detections=write_detections,
            distributed=distributed,
        )
        self._tasks = tuple(tasks)
        # pycocotools sorts the limits, so that the asked one must stay the largest.
        self._limits = (1, min(10, max_detections), max_detections)
        self._backend = backend

    def evaluate(self, img_ids: Sequence[Any] | None = None) -> dict[str, dict[str, float]]:
        """Compute the numbers; with several ranks all must call it.

        Args:
            img_ids: evaluate these images only (detectron2's parameter); all by default.

        Returns:
            for each task `{"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100",
            "ARs", "ARm", "ARl"}` ×100 (NaN where the data set has no such objects), followed by
            `"AP-<class>"` when there is more than one class. Empty on ranks other than 0, and when
            not one image was processed.

        Raises:
            DatasetError: the annotations cannot be used, an image was evaluated twice or is not in
                the data set, or the model predicts a class that the data set does not have.
        """
        predictions = self._predictions()
        if not predictions:
            return {}
        start, dataset = time.perf_counter(), self.dataset
        if img_ids is not None:
            wanted = set(img_ids)
            dataset = replace(dataset, ground_truth=dataset.ground_truth.of_images(wanted))
            predictions = [image for image in predictions if image.image_id in wanted]
        detections = join_predictions(predictions, dataset)
        backend = self._backend or choose_backend()
        curves = {
            task: backend.accumulate(
                dataset.ground_truth, detections, iou_type=task, max_detections=self._limits
            )
            for task in self._tasks
        }
        results = {task: _derive(task, curves[task], dataset) for task in self._tasks}
        logger.info(
            f"Evaluated {len(detections)} detections on {len(dataset.ground_truth.image_ids)} "
            f"images with {backend.name} in {time.perf_counter() - start:.2f} s."
        )
        if "bbox" in curves:
            by_category = class_metrics(curves["bbox"])
            ap50 = [by_category[k]["AP50"] for k in dataset.category_index_of_class]
            self._draw(detections, dataset, ap50=ap50)
        return results


def _derive(task: str, curves: PrecisionRecall, dataset: EvaluatedDataset) -> dict[str, float]:
    """Report the curves' numbers and give them by name."""
    logger.info(f"Results for {task} of {dataset.name}:\n" + "\n".join(coco_lines(curves)))
    counts = dataset.ground_truth.count_objects()
    by_category = class_metrics(curves)
    rows = [
        {"objects": int(counts[place]), **by_category[place]}
        for place in dataset.category_index_of_class
    ]
    labels = dataset.labels
    logger.info(f"Per class, {task}:\n" + class_table(rows, labels))
    metrics = named_metrics(curves)
    if len(labels) > 1:
        metrics |= {f"AP-{label}": row["AP"] for label, row in zip(labels, rows, strict=True)}
    return metrics
