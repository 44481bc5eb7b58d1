"""Which detection found which object, at one IoU threshold: for whole data sets, without loops.

COCO's and VOC's protocols differ in this, so that each has its function; what is made of the
matches (curves, confusion matrices, VOC's AP) is the same for both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yolov7.evaluation.detections import Detections
from yolov7.evaluation.ground_truth import GroundTruth
from yolov7.ops import elementwise_ioa, elementwise_iou, xywh_to_xyxy

# Pairs of boxes compared at a time: some 100 MB.
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Matches:
    """What a protocol says of D detections and M objects.

    Attributes:
        iou_threshold: the IoU that was asked for.
        object_index: (D,) int64, the object that a right detection found; −1 for all others.
        is_ignored: (D,) bool, detections that are neither right nor wrong.
        is_counted: (M,) bool, objects that are to be found; all others (crowds, difficult ones)
            are neither found nor missed.
    """

    iou_threshold: float
    object_index: np.ndarray
    is_ignored: np.ndarray
    is_counted: np.ndarray

    @property
    def is_right(self) -> np.ndarray:
        """(D,) bool: detections that found an object."""
        return self.object_index >= 0


@dataclass(frozen=True)
class Overlaps:
    """P pairs of a detection and an object of the same image that overlap.

    Attributes:
        detection_index: (P,) int64 rows of the detections.
        object_index: (P,) int64 rows of the ground truth.
        overlap: (P,) float64, IoU or another measure.
    """

    detection_index: np.ndarray
    object_index: np.ndarray
    overlap: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Overlaps:
        """Choose pairs by a mask or by places."""
        return Overlaps(
            self.detection_index[chosen], self.object_index[chosen], self.overlap[chosen]
        )


def find_overlaps(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    detection_rows: np.ndarray,
    object_rows: np.ndarray,
    threshold: float,
    same_class: bool,
    measure: Callable[[Tensor, Tensor], Tensor] = elementwise_iou,
) -> Overlaps:
    """Find the pairs of one image, and of one class if asked, that overlap by `threshold` or more.

    Args:
        detections: the detections.
        ground_truth: the objects.
        detection_rows: (d,) rows of the detections to look at.
        object_rows: (m,) rows of the objects to look at.
        threshold: the least overlap, above 0.
        same_class: whether both must be of one class.
        measure: called as `measure(boxes of detections, boxes of objects)`, both (p, 4) xyxy
            float64; gives the overlaps (p,).
    """
    num_classes = len(ground_truth.category_ids) if same_class else 1
    keys = detections.image_index[detection_rows] * num_classes
    object_keys = ground_truth.image_index[object_rows] * num_classes
    if same_class:
        keys = keys + detections.category_index[detection_rows]
        object_keys = object_keys + ground_truth.category_index[object_rows]
    by_key = np.argsort(object_keys, kind="stable")
    object_rows, object_keys = object_rows[by_key], object_keys[by_key]
    first = np.searchsorted(object_keys, keys, side="left")
    counts = np.searchsorted(object_keys, keys, side="right") - first

    boxes = xywh_to_xyxy(torch.from_numpy(detections.boxes_xywh))
    object_boxes = xywh_to_xyxy(torch.from_numpy(ground_truth.boxes_xywh))
    found = []
    for part in _parts(counts, _MOST_PAIRS):
        # One row for each pair: the detection, and the k-th object of its image and class.
        total = int(counts[part].sum())
        begins = np.cumsum(counts[part]) - counts[part]
        kth = np.arange(total) - np.repeat(begins, counts[part])
        d = np.repeat(detection_rows[part], counts[part])
        m = object_rows[np.repeat(first[part], counts[part]) + kth]
        overlap = measure(boxes[d], object_boxes[m]).numpy()
        enough = overlap >= threshold
        found.append((d[enough], m[enough], overlap[enough]))
    if not found:
        return Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Overlaps(*(np.concatenate(column) for column in zip(*found, strict=True)))


def score_rank(detections: Detections) -> np.ndarray:
    """Give each detection's place (D,) by falling score; equal scores keep their order."""
    order = np.argsort(-detections.scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def take_in_order(pairs: Overlaps) -> np.ndarray:
    """Match greedily: go through the pairs, take each whose detection and object are both free.

    All pairs that come first both for their detection and for their object are taken at once,
    which changes nothing, until no pair is left: a handful of rounds instead of a step a pair.

    Returns:
        (P,) bool: which pairs are taken.
    """
    taken = np.zeros(len(pairs.overlap), bool)
    left = np.arange(len(taken))
    while len(left):
        d, m = pairs.detection_index[left], pairs.object_index[left]
        leads = _is_first(d) & _is_first(m)
        taken[left[leads]] = True
        left = left[~(np.isin(d, d[leads]) | np.isin(m, m[leads]))]
    return taken


def match_as_coco(
    detections: Detections, ground_truth: GroundTruth, *, iou_threshold: float
) -> Matches:
    """Match by COCO's protocol, for all sizes of objects and without a limit of detections.

    By falling score each detection takes that object of its class which it overlaps most, among
    those that are free and overlap enough. One that finds none, but of whose own area a share of
    `iou_threshold` lies in a crowd of its class, is ignored.
    """
    rows = np.arange(len(detections))
    pairs = find_overlaps(
        detections,
        ground_truth,
        detection_rows=rows,
        object_rows=np.flatnonzero(~ground_truth.is_crowd),
        threshold=iou_threshold,
        same_class=True,
    )
    rank = score_rank(detections)[pairs.detection_index]
    # Of objects that are overlapped equally, pycocotools takes the last.
    pairs = pairs[np.lexsort((-pairs.object_index, -pairs.overlap, rank))]
    object_index = np.full(len(detections), -1)
    taken = pairs[take_in_order(pairs)]
    object_index[taken.detection_index] = taken.object_index

    in_crowds = find_overlaps(
        detections,
        ground_truth,
        detection_rows=np.flatnonzero(object_index < 0),
        object_rows=np.flatnonzero(ground_truth.is_crowd),
        threshold=iou_threshold,
        same_class=True,
        measure=elementwise_ioa,
    )
    is_ignored = np.zeros(len(detections), bool)
    is_ignored[in_crowds.detection_index] = True
    return Matches(iou_threshold, object_index, is_ignored, ~ground_truth.is_crowd)


def match_as_voc(
    detections: Detections, ground_truth: GroundTruth, *, iou_threshold: float
) -> Matches:
    """Match by the protocol of Pascal VOC (`VOCevaldet.m` of the devkit).

    Each detection belongs to the one object of its class that it overlaps most, if by more than
    `iou_threshold`. If that object is difficult, the detection is ignored; else the surest
    detection of the object is right, and all its others are wrong, even where they would fit a
    neighbour well enough. Crowds, which VOC does not have, are treated like difficult objects.

    The devkit counts pixels from 1, inclusively, so that a box is xmax − xmin + 1 wide. Records
    hold the edges (xmin − 1, ymin − 1, xmax, ymax), whose difference is the same number: the plain
    IoU of these boxes is the devkit's IoU, and there is no 1 to add.
    """
    pairs = find_overlaps(
        detections,
        ground_truth,
        detection_rows=np.arange(len(detections)),
        object_rows=np.arange(len(ground_truth.is_crowd)),
        threshold=iou_threshold,
        same_class=True,
    )
    pairs = pairs[pairs.overlap > iou_threshold]
    # Each detection's best object; the first in the file, if several are as good.
    pairs = pairs[np.lexsort((pairs.object_index, -pairs.overlap, pairs.detection_index))]
    pairs = pairs[_is_first(pairs.detection_index)]

    is_counted = ~(ground_truth.is_difficult | ground_truth.is_crowd)
    counted = is_counted[pairs.object_index]
    is_ignored = np.zeros(len(detections), bool)
    is_ignored[pairs.detection_index[~counted]] = True
    pairs = pairs[counted]
    pairs = pairs[np.argsort(score_rank(detections)[pairs.detection_index])]
    pairs = pairs[_is_first(pairs.object_index)]
    object_index = np.full(len(detections), -1)
    object_index[pairs.detection_index] = pairs.object_index
    return Matches(iou_threshold, object_index, is_ignored, is_counted)


def _is_first(values: np.ndarray) -> np.ndarray:
    """Mark where each value occurs for the first time."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _parts(counts: np.ndarray, most: int) -> list[slice]:
    """Cut rows into slices of about `most` pairs, given each row's number of pairs."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    cuts = [0, *np.searchsorted(ends, np.arange(most, total, most)).tolist(), len(counts)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts) if a < b]
