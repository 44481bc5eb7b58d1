"""The engines that match detections to ground truth: hotcoco for speed, pycocotools as reference.

Both give pycocotools' arrays, bit by bit. A backend is an object with a `name` and

    accumulate(ground_truth, detections, *, iou_type, max_detections) -> PrecisionRecall
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov7.evaluation.detections import Detections
from yolov7.evaluation.ground_truth import GroundTruth

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrecisionRecall:
    """The curves that all of COCO's numbers are means of; −1 where there is no ground truth.

    T = 10 IoU thresholds .50:.05:.95, R = 101 recall levels, K categories in the order of their
    ids, A = 4 areas (all, small, medium, large), M = 3 detection limits.

    Attributes:
        precision: (T, R, K, A, M) float64.
        recall: (T, K, A, M) float64, the highest recall reached.
        max_detections: the M limits, ascending.
    """

    precision: np.ndarray
    recall: np.ndarray
    max_detections: tuple[int, int, int]


class Backend(Protocol):
    """Matches detections to ground truth by COCO's protocol."""

    name: str

    def accumulate(
        self,
        ground_truth: GroundTruth,
        detections: Detections,
        *,
        iou_type: str,
        max_detections: tuple[int, int, int],
    ) -> PrecisionRecall:
        """Compute the curves.

        Args:
            ground_truth: the data set.
            detections: what was found; may be empty.
            iou_type: `"bbox"`, or `"segm"`, where the sizes of detections are those of their masks.
            max_detections: three ascending limits of detections per image and category.
        """
        ...


class HotcocoBackend:
    """hotcoco (Rust): equal to pycocotools in every element, many times faster.

    It keeps a pool of threads, which a forked process does not inherit: a process that was forked
    after its parent evaluated must not evaluate, or it waits forever.
    """

    name = "hotcoco"

    def accumulate(
        self,
        ground_truth: GroundTruth,
        detections: Detections,
        *,
        iou_type: str,
        max_detections: tuple[int, int, int],
    ) -> PrecisionRecall:
        """See `Backend.accumulate`."""
        import hotcoco

        with_masks = iou_type == "segm"
        reference = hotcoco.COCO.from_arrays(
            _images(ground_truth),
            _categories(ground_truth),
            ground_truth.image_index + 1,
            ground_truth.category_index + 1,
            ground_truth.boxes_xywh,
            area=ground_truth.areas,
            iscrowd=ground_truth.is_crowd.astype(np.int64),
            segmentation=ground_truth.segmentations if with_masks else None,
        )
        if with_masks:
            results = reference.loadRes(_mask_results(detections))
        else:
            # Dense ids are below 2**53, so that a float column holds them exactly.
            columns = (detections.image_index + 1, detections.boxes_xywh, detections.scores)
            results = reference.loadRes(
                np.column_stack([*columns, detections.category_index + 1]).astype(np.float64)
            )
        evaluation = hotcoco.COCOeval(reference, results, iou_type)
        evaluation.params.maxDets = list(max_detections)
        evaluation.evaluate()
        evaluation.accumulate()
        curves = evaluation.eval
        return PrecisionRecall(
            np.asarray(curves["precision"]), np.asarray(curves["recall"]), max_detections
        )


class PycocotoolsBackend:
    """pycocotools, COCO's own evaluation: the reference, and the fallback without hotcoco."""

    name = "pycocotools"

    def accumulate(
        self,
        ground_truth: GroundTruth,
        detections: Detections,
        *,
        iou_type: str,
        max_detections: tuple[int, int, int],
    ) -> PrecisionRecall:
        """See `Backend.accumulate`."""
        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO()
            reference.dataset = {
                "images": _images(ground_truth),
                "categories": _categories(ground_truth),
                "annotations": _annotations(ground_truth),
            }
            reference.createIndex()
            with_masks = iou_type == "segm"
            rows = _mask_results(detections) if with_masks else _box_results(detections)
            # loadRes looks at its first row to see what kind of results it got.
            results = reference.loadRes(rows) if rows else _nothing(reference)
            evaluation = COCOeval(reference, results, iou_type)
            evaluation.params.maxDets = list(max_detections)
            evaluation.evaluate()
            evaluation.accumulate()
        return PrecisionRecall(
            evaluation.eval["precision"], evaluation.eval["recall"], max_detections
        )


def choose_backend() -> Backend:
    """hotcoco where it is installed; otherwise pycocotools, with a warning."""
    if importlib.util.find_spec("hotcoco") is not None:
        return HotcocoBackend()
    logger.warning(
        "hotcoco is not installed: evaluating with pycocotools, which gives the same numbers but "
        "is many times slower. `pip install hotcoco` mends it."
    )
    return PycocotoolsBackend()


def _images(ground_truth: GroundTruth) -> list[dict]:
    return [
        {"id": place + 1, "height": height, "width": width}
        for place, (height, width) in enumerate(ground_truth.image_sizes)
    ]


def _categories(ground_truth: GroundTruth) -> list[dict]:
    return [{"id": k + 1, "name": str(c)} for k, c in enumerate(ground_truth.category_ids)]


def _annotations(ground_truth: GroundTruth) -> list[dict]:
    columns = zip(
        ground_truth.image_index.tolist(),
        ground_truth.category_index.tolist(),
        ground_truth.boxes_xywh.tolist(),
        ground_truth.areas.tolist(),
        ground_truth.is_crowd.tolist(),
        strict=True,
    )
    rows = [
        {
            "id": place + 1,
            "image_id": image + 1,
            "category_id": category + 1,
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
        }
        for place, (image, category, box, area, crowd) in enumerate(columns)
    ]
    if ground_truth.segmentations is not None:
        for row, segmentation in zip(rows, ground_truth.segmentations, strict=True):
            row["segmentation"] = segmentation
    return rows


def _box_results(detections: Detections) -> list[dict]:
    return [
        {"image_id": i + 1, "category_id": c + 1, "bbox": box, "score": score}
        for i, c, box, score in zip(
            detections.image_index.tolist(),
            detections.category_index.tolist(),
            detections.boxes_xywh.tolist(),
            detections.scores.tolist(),
            strict=True,
        )
    ]


def _mask_results(detections: Detections) -> list[dict]:
    """Rows without a box: with one, loadRes would take the box's area for the mask's."""
    return [
        {"image_id": i + 1, "category_id": c + 1, "segmentation": dict(mask), "score": score}
        for i, c, mask, score in zip(
            detections.image_index.tolist(),
            detections.category_index.tolist(),
            detections.masks or [],
            detections.scores.tolist(),
            strict=True,
        )
    ]


def _nothing(reference: COCO) -> COCO:
    results = COCO()
    results.dataset = {**reference.dataset, "annotations": []}
    results.createIndex()
    return results
