"""The predictions of all ranks, each image once, checked and in the data set's order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from yolov7.d2 import gather, is_main_process, synchronize
from yolov7.evaluation.dataset import EvaluatedDataset
from yolov7.evaluation.detections import Detections, ImageDetections
from yolov7.evaluation.results_file import RESULTS_FILE, write_results
from yolov7.utils.errors import DatasetError

logger = logging.getLogger(__name__)


class PredictionCollector:
    """Remembers what a model found, batch by batch, and hands it over in the end.

    Args:
        with_masks: remember masks too.
        distributed: collect the predictions of all ranks; False hands over this rank's alone.
    """

    def __init__(self, *, with_masks: bool, distributed: bool):
        self._with_masks = with_masks
        self._distributed = distributed
        self._images: list[ImageDetections] = []

    def reset(self) -> None:
        """Forget all predictions."""
        self._images = []

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """Remember the detections of a batch.

        Args:
            inputs: samples with `image_id`.
            outputs: one `{"instances": Instances}` a sample, with `pred_boxes` (xyxy pixels of the
                original image), `scores`, `pred_classes`, and full-image `pred_masks` if masks are
                remembered.
        """
        if len(inputs) != len(outputs):
            raise ValueError(f"{len(inputs)} samples went in, {len(outputs)} results came out")
        for sample, output in zip(inputs, outputs, strict=True):
            self._images.append(
                ImageDetections.from_instances(
                    sample["image_id"], output["instances"], with_masks=self._with_masks
                )
            )

    def add(self, images: Iterable[ImageDetections]) -> None:
        """Remember detections that are not fresh from a model, such as those of a file."""
        self._images.extend(images)

    def gather(self) -> list[ImageDetections] | None:
        """Hand over the predictions of all ranks; None on ranks other than 0.

        With several ranks all must call it.
        """
        if not self._distributed:
            return self._images
        synchronize()
        shares = gather(self._images, dst=0)
        if not is_main_process():
            return None
        return [image for share in shares for image in share]


def check_predictions(
    predictions: Sequence[ImageDetections], dataset: EvaluatedDataset
) -> list[ImageDetections]:
    """Check the predictions and sort them by image, so that no sharding shows in them.

    Detections that are no finite numbers are left out, with a warning.

    Raises:
        DatasetError: an image is not in the data set or came twice, or a class does not exist.
    """
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


def join_predictions(
    predictions: Sequence[ImageDetections], dataset: EvaluatedDataset
) -> Detections:
    """Turn checked predictions into columns; images without predictions are reported.

    Args:
        predictions: from `check_predictions`.
        dataset: the data set, of at least their images.
    """
    place = dataset.ground_truth.place_of_image
    detections = Detections.concatenate(
        predictions,
        image_index=[place[image.image_id] for image in predictions],
        category_index_of_class=dataset.category_index_of_class,
    )
    num_absent = len(place) - len(predictions)
    if num_absent:
        logger.warning(
            f"{num_absent} of the {len(place)} images of {dataset.name} were not processed; they "
            "count as images in which nothing was found."
        )
    if not len(detections):
        logger.warning(f"The model found nothing in any image of {dataset.name}.")
    return detections


def save_predictions(
    predictions: Sequence[ImageDetections], dataset: EvaluatedDataset, folder: Path
) -> None:
    """Write predictions into a folder, in COCO's results format, as `RESULTS_FILE`."""
    path = folder / RESULTS_FILE
    write_results(path, predictions, category_ids=dataset.category_ids)
    logger.info(f"Wrote the results to {path}.")
