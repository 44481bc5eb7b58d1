"""COCO's numbers for boxes and masks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolov7.d2 import DatasetEvaluator, gather, is_main_process, synchronize
from yolov7.evaluation.backends import Backend, PrecisionRecall, choose_backend
from yolov7.evaluation.dataset import EvaluatedDataset, load_evaluated_dataset
from yolov7.evaluation.detections import Detections, ImageDetections
from yolov7.evaluation.report import class_metrics, class_table, coco_lines, named_metrics
from yolov7.utils.atomic import atomic_write
from yolov7.utils.errors import DatasetError

logger = logging.getLogger(__name__)

_TASKS = ("bbox", "segm")


class COCOEvaluator(DatasetEvaluator):
    """Evaluate detections by COCO's protocol; the numbers are pycocotools', to the last bit.

    The ground truth is the data set's json file as it lies on disk, crowds included; a data set
    registered without one is converted from its records. All of its images count: one for which
    the model gave nothing, or which it never saw, counts with no detections (and is reported).
    """

    def __init__(
        self,
        dataset_name: str,
        *,
        output_dir: str | Path | None = None,
        tasks: Sequence[str] = ("bbox",),
        max_detections: int = 100,
        distributed: bool = True,
        backend: Backend | None = None,
    ):
        """Set up an evaluation; the data set is read when it is first needed.

        Args:
            dataset_name: a registered data set.
            output_dir: folder for `coco_instances_results.json`; None writes nothing.
            tasks: `"bbox"` for boxes, `"segm"` for masks.
            max_detections: the highest number of detections that count per image and category;
                COCO's 100 unless a data set is crowded. Recall is also given for 1 and 10.
            distributed: collect the predictions of all ranks; False evaluates this rank's alone.
            backend: the matching engine; by default the fastest one installed.

        Raises:
            ValueError: an unknown task or a limit below 1.
        """
        unknown = sorted(set(tasks) - set(_TASKS))
        if unknown or not tasks:
            raise ValueError(f"tasks must be among {', '.join(_TASKS)}, got {tuple(tasks)}")
        if max_detections < 1:
            raise ValueError(f"max_detections must be at least 1, got {max_detections}")
        self._name = dataset_name
        self._output_dir = None if output_dir is None else Path(output_dir)
        self._tasks = tuple(tasks)
        # pycocotools sorts the limits, so that the asked one must stay the largest.
        self._limits = (1, min(10, max_detections), max_detections)
        self._distributed = distributed
        self._backend = backend
        self._dataset: EvaluatedDataset | None = None
        self._predictions: list[ImageDetections] = []

    def reset(self) -> None:
        """Forget all predictions."""
        self._predictions = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Remember the detections of a batch.

        Args:
            inputs: samples with `image_id`.
            outputs: one `{"instances": Instances}` a sample, with `pred_boxes` (xyxy pixels of the
                original image), `scores`, `pred_classes`, and full-image `pred_masks` for `"segm"`.
        """
        if len(inputs) != len(outputs):
            raise ValueError(f"{len(inputs)} samples went in, {len(outputs)} results came out")
        for sample, output in zip(inputs, outputs, strict=True):
            self._predictions.append(
                ImageDetections.from_instances(
                    sample["image_id"], output["instances"], with_masks="segm" in self._tasks
                )
            )

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
        predictions = self._predictions
        if self._distributed:
            synchronize()
            predictions = [image for share in gather(predictions, dst=0) for image in share]
            if not is_main_process():
                return {}
        if not predictions:
            logger.warning(f"{self._name}: no image was processed, there is nothing to evaluate.")
            return {}

        start = time.perf_counter()
        if self._dataset is None:
            self._dataset = load_evaluated_dataset(self._name, with_masks="segm" in self._tasks)
        dataset = self._dataset
        predictions = _in_order(predictions, dataset)
        if self._output_dir is not None:
            _write(predictions, dataset, self._output_dir / "coco_instances_results.json")
        if img_ids is not None:
            wanted = set(img_ids)
            dataset = replace(dataset, ground_truth=dataset.ground_truth.of_images(wanted))
            predictions = [image for image in predictions if image.image_id in wanted]

        place = dataset.ground_truth.place_of_image
        detections = Detections.concatenate(
            predictions,
            image_index=[place[image.image_id] for image in predictions],
            category_index_of_class=dataset.category_index_of_class,
        )
        _report_absent(dataset, num_processed=len(predictions), num_detections=len(detections))
        backend = self._backend or choose_backend()
        results = {}
        for task in self._tasks:
            curves = backend.accumulate(
                dataset.ground_truth, detections, iou_type=task, max_detections=self._limits
            )
            results[task] = _derive(task, curves, dataset)
        logger.info(
            f"Evaluated {len(detections)} detections on {len(place)} images with {backend.name} "
            f"in {time.perf_counter() - start:.2f} s."
        )
        return results


def _in_order(
    predictions: list[ImageDetections], dataset: EvaluatedDataset
) -> list[ImageDetections]:
    """Check the predictions and sort them by image, so that no sharding shows in them."""
    place = dataset.ground_truth.place_of_image
    seen = set()
    for image in predictions:
        if image.image_id not in place:
            raise DatasetError(
                f"{dataset.name} has no image with the id {image.image_id!r}: the model was run "
                "on another data set than the one it is evaluated on."
            )
        if image.image_id in seen:
            raise DatasetError(
                f"{dataset.name}: the image {image.image_id!r} was evaluated more than once. "
                "Each image must come from the loader exactly once, on one rank."
            )
        seen.add(image.image_id)
        highest = int(image.classes.max(initial=-1))
        if highest >= dataset.num_classes:
            raise DatasetError(
                f"The model predicts the class {highest}, but {dataset.name} has "
                f"{dataset.num_classes} classes (0 to {dataset.num_classes - 1}). Set "
                f"MODEL.YOLO.CLASSES to {dataset.num_classes} and use weights of these classes."
            )
    finite = [image.finite() for image in predictions]
    dropped = sum(len(a.scores) - len(b.scores) for a, b in zip(predictions, finite, strict=True))
    if dropped:
        logger.warning(
            f"{dropped} detections with NaN or infinite scores or boxes are left out. "
            "The weights are probably broken."
        )
    return sorted(finite, key=lambda image: place[image.image_id])


def _write(predictions: list[ImageDetections], dataset: EvaluatedDataset, path: Path) -> None:
    # An image at a time through `dumps`, which is compiled; `dump` into a file is not.
    rows = (json.dumps(image.to_coco(dataset.category_ids))[1:-1] for image in predictions)
    with atomic_write(path, "w") as file:
        file.write("[" + ", ".join(row for row in rows if row) + "]\n")
    logger.info(f"Wrote the results to {path}.")


def _report_absent(dataset: EvaluatedDataset, *, num_processed: int, num_detections: int) -> None:
    num_images = len(dataset.ground_truth.image_ids)
    if num_processed < num_images:
        logger.warning(
            f"{num_images - num_processed} of the {num_images} images of {dataset.name} were not "
            "processed; they count as images in which nothing was found."
        )
    if num_detections == 0:
        logger.warning(f"The model found nothing in any image of {dataset.name}.")


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
