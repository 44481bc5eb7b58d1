"""Anchors for a data set: k-means on 1 − IoU, then a genetic refinement.

Sizes and anchors are (width, height) in pixels of the training resolution. Two measures are used:

* the IoU of two boxes with a common corner, as in YOLOv2 (Redmon and Farhadi, arXiv:1612.08242,
  section 2), by which k-means groups;
* the side ratio min(w/w', w'/w, h/h', h'/h), by which YOLOv5 and YOLOv7 decide which anchors an
  object is given to. In logarithms it is exp(−Chebyshev distance), which the refinement uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from yolov7.data.formats.record import Record, xywh
from yolov7.utils.errors import UserError

BINS_PER_OCTAVE = 8  # of the histogram of sizes: boxes of one bin differ by 9 % a side
_MOST_ITERATIONS = 300
_CHUNK = 65_536
_MUTATION_PROBABILITY = 0.5
_MUTATION_SIGMA = 0.1  # of a logarithm: about 10 % of a side
_MUTANTS = 8
_SMALLEST_SIDE = 2.0

Center = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class AnchorFit:
    """How well anchors fit boxes.

    Attributes:
        mean_best_iou: mean over boxes of the IoU with the best anchor.
        recall: share of boxes with an anchor whose sides are within the ratio: the others can
            never be learned ("best possible recall").
        fitness: mean over boxes of the best anchor's side ratio, counted as 0 beyond the limit;
            what the refinement maximises.
    """

    mean_best_iou: float
    recall: float
    fitness: float


def training_sizes(records: Sequence[Record], input_size: tuple[int, int]) -> np.ndarray:
    """Collect the sizes that a network sees of all objects: (M, 2), pixels, float64.

    Pictures are resized to fit into `input_size` (height, width) with their aspect kept. Crowd
    regions and boxes without area are left out.
    """
    sizes = []
    for record in records:
        scale = min(input_size[0] / record["height"], input_size[1] / record["width"])
        for item in record["annotations"]:
            _, _, width, height = xywh(item)
            if not item.get("iscrowd", 0) and min(width, height) > 0:
                sizes.append((width * scale, height * scale))
    return np.array(sizes, np.float64).reshape(-1, 2)


def shape_iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of every box (M, 2) with every anchor (A, 2), both at the origin: (M, A)."""
    inner = np.minimum(sizes[:, None, 0], anchors[:, 0]) * np.minimum(
        sizes[:, None, 1], anchors[:, 1]
    )
    return inner / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - inner)


def measure_anchors(sizes: np.ndarray, anchors: np.ndarray, *, ratio: float = 4.0) -> AnchorFit:
    """Measure how anchors (A, 2) fit boxes (M, 2).

    Args:
        ratio: a box can be given to an anchor whose sides differ by less than this factor.

    Raises:
        UserError: there are no boxes or anchors, or a side is not positive.
    """
    _check(sizes, "boxes", 1)
    _check(anchors, "anchors", 1)
    iou = fitness = recalled = 0.0
    log_anchors = np.log(anchors)
    for start in range(0, len(sizes), _CHUNK):  # 860,000 boxes need not lie in memory 9 times
        part = sizes[start : start + _CHUNK]
        iou += shape_iou(part, anchors).max(axis=1).sum()
        distance = _log_distance(np.log(part), log_anchors)
        fits = distance < np.log(ratio)
        recalled += fits.sum()
        fitness += np.exp(-distance[fits]).sum()
    return AnchorFit(*(float(total / len(sizes)) for total in (iou, recalled, fitness)))


def size_histogram(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join boxes (M, 2) of nearly equal size: mean sizes (H, 2) and numbers of boxes (H,)."""
    bins = np.floor(np.log2(sizes) * BINS_PER_OCTAVE).astype(np.int64)
    low, extent = bins.min(axis=0), np.ptp(bins, axis=0) + 1
    number = (bins[:, 0] - low[0]) * extent[1] + bins[:, 1] - low[1]
    _, place, counts = np.unique(number, return_inverse=True, return_counts=True)
    sums = [np.bincount(place, weights=side) for side in sizes.T]
    return np.stack(sums, axis=1) / counts[:, None], counts.astype(np.float64)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of (N, 2) values with weights (N,): (2,)."""
    return weights @ values / weights.sum()


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lower median of (N, 2) values with weights (N,), each column for itself: (2,)."""
    order = values.argsort(axis=0, kind="stable")
    below = weights[order].cumsum(axis=0)
    place = (below < below[-1] / 2).sum(axis=0)
    return np.take_along_axis(np.take_along_axis(values, order, 0), place[None], 0)[0]


def cluster_sizes(
    sizes: np.ndarray,
    weights: np.ndarray,
    num_anchors: int,
    *,
    rng: np.random.Generator,
    center: Center = weighted_mean,
    restarts: int = 10,
) -> np.ndarray:
    """Find anchors by k-means with the distance 1 − IoU, seeded as k-means++.

    Args:
        sizes, weights: boxes (M, 2) and how often each counts (M,), as `size_histogram` gives.
        rng: chooses the seeds; the same state gives the same anchors.
        center: of a group's boxes and weights: `weighted_mean` or `weighted_median`.
        restarts: runs, of which the one with the best mean IoU is taken.

    Returns:
        (num_anchors, 2), in no particular order.

    Raises:
        UserError: there are fewer different sizes than anchors, or a side is not positive.
    """
    _check(sizes, "boxes of different size", num_anchors)
    runs = [_k_means(sizes, weights, num_anchors, rng, center) for _ in range(restarts)]
    return max(runs, key=lambda run: run[0])[1]


def refine_anchors(
    sizes: np.ndarray,
    weights: np.ndarray,
    anchors: np.ndarray,
    *,
    rng: np.random.Generator,
    ratio: float = 4.0,
    generations: int = 1000,
) -> np.ndarray:
    """Improve anchors by mutation and selection: never worse in fitness on these boxes.

    Each generation scales random sides of the best anchors so far by random factors, eight times,
    and keeps the best of all.

    Args:
        sizes, weights: boxes (M, 2) and how often each counts (M,).
        anchors: (A, 2), where to start.
        ratio: see `measure_anchors`.
        generations: 0 returns the anchors unchanged.

    Returns:
        (A, 2).
    """
    logs, limit = np.log(sizes), np.log(ratio)
    best = np.log(anchors)
    best_fitness = _fitness(logs, weights, best, limit)
    for _ in range(generations):
        shape = (_MUTANTS, *best.shape)
        step = rng.normal(0.0, _MUTATION_SIGMA, shape) * rng.random((_MUTANTS, 1, 1))
        mutants = best + step * (rng.random(shape) < _MUTATION_PROBABILITY)
        mutants = np.maximum(mutants, np.log(_SMALLEST_SIDE))
        scores = [_fitness(logs, weights, mutant, limit) for mutant in mutants]
        if max(scores) > best_fitness:
            best, best_fitness = mutants[int(np.argmax(scores))], max(scores)
    return np.exp(best)


def compute_anchors(
    sizes: np.ndarray,
    num_anchors: int,
    *,
    seed: int = 0,
    center: Center = weighted_mean,
    ratio: float = 4.0,
    generations: int = 1000,
) -> np.ndarray:
    """Cluster and refine on the histogram of the sizes, and judge by all boxes.

    Args:
        sizes: boxes (M, 2) at training resolution.
        seed: the same seed gives the same anchors.

    Returns:
        (num_anchors, 2), by ascending area: the clustered or the refined ones, whichever have the
        higher fitness on all boxes.

    Raises:
        UserError: see `cluster_sizes`.
    """
    _check(sizes, "boxes", num_anchors)
    rng = np.random.default_rng(seed)
    # Boxes that only the rounding of their scales tells apart are no different sizes.
    rounded = np.maximum(sizes.round(3), 0.001)
    joined, weights = size_histogram(rounded)
    if len(joined) < num_anchors:  # all boxes nearly equal
        joined, weights = np.unique(rounded, axis=0, return_counts=True)
    clustered = cluster_sizes(joined, weights, num_anchors, rng=rng, center=center)
    refined = refine_anchors(
        joined, weights, clustered, rng=rng, ratio=ratio, generations=generations
    )
    fits = [measure_anchors(sizes, a, ratio=ratio).fitness for a in (clustered, refined)]
    return by_area(refined if fits[1] > fits[0] else clustered)


def by_area(anchors: np.ndarray) -> np.ndarray:
    """Sort anchors (A, 2) by ascending area, as levels of ascending stride take them."""
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def _k_means(
    sizes: np.ndarray, weights: np.ndarray, num: int, rng: np.random.Generator, center: Center
) -> tuple[float, np.ndarray]:
    """One run; returns the best mean IoU met and its centres."""
    centers = _seeds(sizes, weights, num, rng)
    best_iou, best = -1.0, centers
    groups = np.full(len(sizes), -1)
    for _ in range(_MOST_ITERATIONS):
        ious = shape_iou(sizes, centers)
        new_groups, closest = ious.argmax(axis=1), ious.max(axis=1)
        mean_iou = float(weights @ closest / weights.sum())
        if mean_iou > best_iou:  # the mean does not minimise 1 - IoU, so a step may lead back
            best_iou, best = mean_iou, centers
        if np.array_equal(new_groups, groups):
            break
        groups = new_groups
        centers = centers.copy()
        lonely = np.argsort(closest)
        for number in range(num):
            members = groups == number
            if members.any():
                centers[number] = center(sizes[members], weights[members])
            else:  # start it again where boxes fit worst
                centers[number], lonely = sizes[lonely[0]], lonely[1:]
    return best_iou, best


def _seeds(
    sizes: np.ndarray, weights: np.ndarray, num: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw boxes as seeds, each with a chance by its squared distance from those before it."""
    seeds = sizes[[rng.choice(len(sizes), p=weights / weights.sum())]]
    while len(seeds) < num:
        chance = weights * (1 - shape_iou(sizes, seeds).max(axis=1)) ** 2
        chosen = rng.choice(len(sizes), p=chance / chance.sum())
        seeds = np.concatenate([seeds, sizes[[chosen]]])
    return seeds


def _fitness(logs: np.ndarray, weights: np.ndarray, log_anchors: np.ndarray, limit: float) -> float:
    distance = _log_distance(logs, log_anchors)
    return float((weights * np.exp(-distance) * (distance < limit)).sum() / weights.sum())


def _log_distance(logs: np.ndarray, log_anchors: np.ndarray) -> np.ndarray:
    """Chebyshev distance of each box (M, 2) to its closest anchor (A, 2): (M,)."""
    closest = np.full(len(logs), np.inf)
    for width, height in log_anchors:
        farther = np.maximum(np.abs(logs[:, 0] - width), np.abs(logs[:, 1] - height))
        np.minimum(closest, farther, out=closest)
    return closest


def _check(sizes: np.ndarray, name: str, least: int) -> None:
    if len(sizes) < least:
        raise UserError(f"Expected at least {least} {name}, got {len(sizes)}.")
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise UserError(f"Sizes of {name} must be positive numbers of pixels.")
