"""Detections of a results file beside the ground truth, the worst images first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_tools

from yolov7.data import Record, read_record_image
from yolov7.evaluation import Detections, EvaluatedDataset, ImageDetections, Matches
from yolov7.evaluation.collector import join_predictions
from yolov7.visualization import JudgedBoxes, Verdict, Visualizer, draw_comparison
from yolov7.visualization.visualizer import masks_of_annotations


@dataclass(frozen=True)
class JudgedImage:
    """An image of a data set, and what is right and wrong in it.

    Attributes:
        image_id: its id.
        num_right: objects that were found.
        num_missed: objects that were not found.
        num_wrong: detections that found no object.
    """

    image_id: object
    num_right: int
    num_missed: int
    num_wrong: int

    @property
    def num_errors(self) -> int:
        """Missed objects and wrong detections."""
        return self.num_missed + self.num_wrong


class ResultPictures:
    """Compares detections with the ground truth of their data set and draws both.

    Args:
        records: the records of the data set.
        dataset: the same data set as the evaluator has it.
        images: the detections of each image.
        match: the evaluator's protocol.
        score_threshold: the lowest score that is looked at.
        iou_threshold: the IoU from which on a detection has found an object.
        visualizer: draws.
    """

    def __init__(
        self,
        *,
        records: Sequence[Record],
        dataset: EvaluatedDataset,
        images: Sequence[ImageDetections],
        match: Callable[..., Matches],
        score_threshold: float,
        iou_threshold: float,
        visualizer: Visualizer,
    ):
        self._record_of = {record["image_id"]: record for record in records}
        self._dataset = dataset
        self._visualizer = visualizer
        confident = [image.at_least(score_threshold) for image in images]
        self._detections: Detections = join_predictions(confident, dataset)
        self._matches = match(self._detections, dataset.ground_truth, iou_threshold=iou_threshold)
        classes = np.argsort(dataset.category_index_of_class)
        self._name_of_category = [dataset.labels[k] for k in classes]
        self._is_found = np.zeros(len(self._matches.is_counted), bool)
        self._is_found[self._matches.object_index[self._matches.is_right]] = True

    def judge(self) -> list[JudgedImage]:
        """Count what is right and wrong in each image, in the data set's order."""
        truth, matches = self._dataset.ground_truth, self._matches
        count = len(truth.image_ids)
        wrong = ~(matches.is_right | matches.is_ignored)
        missed = matches.is_counted & ~self._is_found
        columns = (
            np.bincount(truth.image_index[self._is_found], minlength=count),
            np.bincount(truth.image_index[missed], minlength=count),
            np.bincount(self._detections.image_index[wrong], minlength=count),
        )
        rows = zip(truth.image_ids, *(column.tolist() for column in columns), strict=True)
        return [JudgedImage(*row) for row in rows]

    def draw(self, image_id: object) -> np.ndarray:
        """Draw an image's ground truth and detections side by side, as BGR picture.

        Raises:
            ImageError: the image cannot be read.
        """
        record = self._record_of[image_id]
        place = self._dataset.ground_truth.place_of_image[image_id]
        image = read_record_image(record)
        truth = self._truth(place, image.shape[:2])
        return draw_comparison(self._visualizer, image, truth, self._found(place))

    def _truth(self, place: int, image_size: tuple[int, int]) -> JudgedBoxes:
        """Judge the objects of the image at a place of the ground truth."""
        truth = self._dataset.ground_truth
        rows = np.flatnonzero(truth.image_index == place)
        verdicts = [
            _verdict(is_right=self._is_found[row], is_ignored=not self._matches.is_counted[row])
            for row in rows
        ]
        masks = None
        if truth.segmentations is not None:
            annotations = [{"segmentation": truth.segmentations[row]} for row in rows]
            masks = masks_of_annotations(annotations, image_size)
        return JudgedBoxes(
            boxes=_xyxy(truth.boxes_xywh[rows]),
            labels=[self._name_of_category[k] for k in truth.category_index[rows]],
            verdicts=verdicts,
            masks=masks,
        )

    def _found(self, place: int) -> JudgedBoxes:
        """Judge the detections of the image at a place of the ground truth."""
        found = self._detections
        rows = np.flatnonzero(found.image_index == place)
        verdicts = [
            _verdict(is_right=self._matches.is_right[row], is_ignored=self._matches.is_ignored[row])
            for row in rows
        ]
        masks = None
        if found.masks is not None and len(rows):
            decoded = [mask_tools.decode(found.masks[row]) for row in rows]
            masks = np.stack(decoded).astype(bool)
        return JudgedBoxes(
            boxes=_xyxy(found.boxes_xywh[rows]),
            labels=[
                f"{self._name_of_category[k]} {score:.2f}"
                for k, score in zip(found.category_index[rows], found.scores[rows], strict=True)
            ],
            verdicts=verdicts,
            masks=masks,
        )


def _verdict(*, is_right: bool, is_ignored: bool) -> Verdict:
    if is_ignored:
        return Verdict.IGNORED
    return Verdict.RIGHT if is_right else Verdict.WRONG


def _xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)
