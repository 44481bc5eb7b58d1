"""Which queries become detections, and of which class.

A choice takes scores ``(B, Q, K)`` and a number N and gives, for each image, at most N detections:
``queries``, ``classes``, both int64, and ``scores``, all ``(B, min(N, …))``.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

QueryChoice = Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]]


def best_class_of_each_query(scores: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each query with its best class, in the order of the queries (DETR); the best N of them."""
    best, classes = scores.max(dim=-1)
    queries = best.topk(min(most, best.shape[1]), dim=1).indices.sort(dim=1).values
    return queries, classes.gather(1, queries), best.gather(1, queries)


def best_pairs(scores: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best N of all Q · K pairs of a query and a class, best first (Anchor DETR).

    A query may be there with several classes.
    """
    num_classes = scores.shape[-1]
    pairs = scores.flatten(1)
    best, index = pairs.topk(min(most, pairs.shape[1]), dim=1)
    return index // num_classes, index % num_classes, best


QUERY_CHOICES: dict[str, QueryChoice] = {"best": best_class_of_each_query, "every": best_pairs}
"""The values of ``MODEL.CLASSES_PER_BOX``, for queries."""
