"""Soft suppression: what overlaps a better detection loses score instead of its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yolov7.ops.nms.columns import Columns, iou
from yolov7.ops.nms.groups import independent_groups, padded_buckets
from yolov7.ops.nms.kept import Kept, Sources

SIGMA = 0.5
"""Of the Gaussian decay, as the paper has it."""
_MOST_PLACES = 2**20

Decay = Callable[[np.ndarray, float], np.ndarray]


def linear_decay(overlap: np.ndarray, threshold: float) -> np.ndarray:
    """1 − IoU for boxes that overlap by more than ``threshold``, 1 for all others."""
    return np.where(overlap > threshold, 1 - overlap, 1.0)


def gaussian_decay(overlap: np.ndarray, threshold: float) -> np.ndarray:
    """exp(−IoU² / 0.5), which knows no threshold."""
    return np.exp(-(overlap**2) / SIGMA)


@dataclass(frozen=True)
class SoftNMS:
    """An `NMS` that lowers scores within a class (arXiv:1704.04503).

    The best candidate is taken, the scores of those that overlap it are multiplied by the decay,
    then the best of the rest is taken, and so on. Groups of boxes that nothing of the same class
    touches go side by side. It runs on the processor, wherever the boxes are.

    Args:
        decay: of an overlap ``(...)`` and the threshold, in [0, 1]; 1 for no overlap.
    """

    decay: Decay

    def __call__(
        self,
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        threshold: float,
        *,
        sources: Sources | None = None,
        most: int | None = None,
        lowest: float = 0.0,
    ) -> Kept:
        """See `yolov7.ops.nms.kept.NMS`; without ``most`` it takes time quadratic in N."""
        groups = independent_groups(boxes, classes)
        all_boxes = boxes.detach().cpu().double().numpy()
        all_scores = scores.detach().cpu().double().numpy()
        rows, decayed = [np.zeros(0, np.int64)], [np.zeros(0)]
        for members, is_real in padded_buckets(groups, _MOST_PLACES):
            members, is_real = members.cpu().numpy(), is_real.cpu().numpy()
            own_scores = np.where(is_real, all_scores[members], -1.0)
            row, place, score = self._taken(
                Columns.of(all_boxes[members]), own_scores, threshold, most, lowest
            )
            rows.append(members[row, place])
            decayed.append(score)
        index = torch.from_numpy(np.concatenate(rows))
        # In the candidates' order first: then equal scores keep it.
        index, by_row = index.sort()
        index = index.to(boxes.device)
        changed = torch.from_numpy(np.concatenate(decayed))[by_row].to(scores)
        return Kept(index, boxes[index], changed).best(most, lowest)

    def _taken(
        self,
        boxes: Columns,
        scores: np.ndarray,
        threshold: float,
        most: int | None,
        lowest: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, place and final score of what G groups give.

        A group's scores never rise, so that it ends with its first below ``lowest``, and after
        ``most``.

        Args:
            boxes: ``(G, n)``.
            scores: ``(G, n)``, changed in place; below 0 where there is no box.
        """
        groups, places = scores.shape
        rows, taken = np.arange(groups), []
        for _ in range(places if most is None else min(most, places)):
            best = scores.argmax(axis=1)
            local = np.arange(len(rows))
            score = scores[local, best]
            goes_on = (score >= lowest) & (score >= 0)
            if not goes_on.all():
                rows, best, score = rows[goes_on], best[goes_on], score[goes_on]
                boxes, scores = boxes[goes_on], scores[goes_on]
                local = np.arange(len(rows))
            if len(rows) == 0:
                break
            taken.append((rows, best, score))
            overlap = iou(boxes[local, best][:, None], boxes)
            gone = scores < 0
            gone[local, best] = True
            scores = scores * self.decay(overlap, threshold)
            scores[gone] = -1.0
        if not taken:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        return tuple(np.concatenate(column) for column in zip(*taken, strict=True))


soft_linear_nms = SoftNMS(linear_decay)
soft_gaussian_nms = SoftNMS(gaussian_decay)
