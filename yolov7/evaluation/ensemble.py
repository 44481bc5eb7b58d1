"""The detections of several models as those of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from yolov7.evaluation.dataset import EvaluatedDataset
from yolov7.evaluation.detections import ImageDetections
from yolov7.evaluation.results_file import ResultsFile
from yolov7.ops import (
    NMS,
    Kept,
    Sources,
    class_aware_nms,
    soft_gaussian_nms,
    weighted_boxes_fusion,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
from yolov7.utils.errors import UserError


def with_weighted_scores(nms: NMS) -> NMS:
    """A suppression before which scores are multiplied by weight / largest weight."""

    def weighted(
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        threshold: float,
        *,
        sources: Sources,
        most: int | None = None,
        lowest: float = 0.0,
    ) -> Kept:
        weights = scores.new_tensor(sources.weights) / max(sources.weights)
        scores = scores * weights[sources.index]
        return nms(boxes, scores, classes, threshold, most=most, lowest=lowest)

    return weighted


ENSEMBLE_KINDS: dict[str, NMS] = {
    "wbf": weighted_boxes_fusion,
    "nms": with_weighted_scores(class_aware_nms),
    "soft": with_weighted_scores(soft_gaussian_nms),
}
"""How detections of several models are joined; all but `wbf` leave boxes and masks as they are."""


def ensemble(
    files: Sequence[ResultsFile],
    dataset: EvaluatedDataset,
    *,
    kind: str = "wbf",
    weights: Sequence[float] = (),
    iou_threshold: float = 0.55,
    max_detections: int = 100,
    score_threshold: float = 0.0,
) -> list[ImageDetections]:
    """Join the results of several models on one data set.

    Args:
        files: one of each model; all with masks or all without.
        dataset: what they are the results of.
        kind: one of `ENSEMBLE_KINDS`.
        weights: how much each model counts, above 0; by default all count alike.
        iou_threshold: above it two detections are of one object.
        max_detections: most detections of an image, the best.
        score_threshold: lowest score that stays.

    Returns:
        the detections of each image of the data set, best first.

    Raises:
        UserError: a number is out of range, or some files have masks that cannot be kept.
        DatasetError: an entry does not fit the data set; see `ResultsFile.detections`.
    """
    weights = tuple(weights) or (1.0,) * len(files)
    _check(files, kind, weights, iou_threshold, max_detections)
    by_file = [file.detections(dataset) for file in files]
    for file, images in zip(files, by_file, strict=True):
        if any((image.scores < 0).any() for image in images):
            raise UserError(f"{file.path} has scores below 0: expected them in [0, 1], not logits.")
        if any((image.boxes_xywh[:, 2:] < 0).any() for image in images):
            raise UserError(
                f"{file.path} has boxes with negative sides: expected [x, y, width, height] in "
                "pixels, x and y of the upper left corner."
            )
    return [
        _join(parts, ENSEMBLE_KINDS[kind], weights, iou_threshold, max_detections, score_threshold)
        for parts in zip(*by_file, strict=True)
    ]


def _join(
    parts: Sequence[ImageDetections],
    nms: NMS,
    weights: tuple[float, ...],
    iou_threshold: float,
    most: int,
    lowest: float,
) -> ImageDetections:
    boxes = [xywh_to_xyxy(torch.from_numpy(part.boxes_xywh)) for part in parts]
    classes = np.concatenate([part.classes for part in parts])
    kept = nms(
        torch.cat(boxes),
        torch.from_numpy(np.concatenate([part.scores for part in parts])),
        torch.from_numpy(classes),
        iou_threshold,
        sources=Sources.of_parts(boxes, weights),
        most=most,
        lowest=lowest,
    )
    index = kept.index.numpy()
    masks = None
    if all(part.masks is not None for part in parts):
        every = [mask for part in parts for mask in part.masks]
        masks = [every[row] for row in index]
    return ImageDetections(
        image_id=parts[0].image_id,
        boxes_xywh=xyxy_to_xywh(kept.boxes).numpy(),
        scores=kept.scores.numpy(),
        classes=classes[index],
        masks=masks,
    )


def _check(
    files: Sequence[ResultsFile],
    kind: str,
    weights: Sequence[float],
    iou_threshold: float,
    max_detections: int,
) -> None:
    if len(weights) != len(files):
        raise UserError(
            f"--weights: expected one for each of the {len(files)} files, got {len(weights)}."
        )
    if not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise UserError(f"--weights: expected numbers above 0, got {list(weights)}.")
    if not 0 <= iou_threshold < 1:
        raise UserError(f"--iou-threshold: expected at least 0 and below 1, got {iou_threshold}.")
    if max_detections < 1:
        raise UserError(f"--max-detections: expected at least 1, got {max_detections}.")
    filled = [file for file in files if file.rows]
    with_masks = [file for file in filled if file.has_masks]
    if with_masks and kind == "wbf":
        raise UserError(
            f"{with_masks[0].path} has masks, and no mask fits the mean of several boxes. Join "
            "with --kind nms or soft, or leave masks out with --boxes-only."
        )
    if with_masks and len(with_masks) < len(filled):
        without = next(file for file in filled if not file.has_masks)
        raise UserError(
            f"{with_masks[0].path} has masks and {without.path} has none. Leave masks out with "
            "--boxes-only."
        )
