"""The one door from criteria to the log."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from yolov7.d2 import get_event_storage, has_event_storage
from yolov7.modeling.assignment import Assignment
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.targets import Targets


def log_diagnostics(values: Mapping[str, float]) -> None:
    """Log scalars that are not losses, where someone is logging; otherwise do nothing.

    Args:
        values: plain numbers. A tensor on a device would make every step wait for it.
    """
    if has_event_storage():
        get_event_storage().put_scalars(**values)


def log_assignment(assignment: Assignment, targets: Targets) -> None:
    """Log how many predictions answer for an object, in all and for each of the objects."""
    log_diagnostics(
        {
            "num_foreground": len(assignment),
            "num_foreground_per_object": len(assignment) / max(len(targets), 1),
        }
    )


def log_matching(
    predictions: QueryPredictions, targets: Targets, queries: Tensor, *, no_object: bool
) -> None:
    """Log how well the final layer's queries name the classes of their objects.

    ``class_error``: per cent of the matched queries whose best logit is not the object's class; 100
    without objects. With a "no object" logit also ``cardinality_error``: the difference between the
    number of queries that say something else and the number of objects, the mean over the images.

    Args:
        predictions: of B images.
        targets: M objects.
        queries: ``(L, M)`` of the matcher.
        no_object: whether the last logit means "no object".
    """
    if not has_event_storage():
        return
    logits = predictions.class_logits[-1].detach()
    best = logits.argmax(dim=-1)
    right = best[targets.image_index, queries[-1]] == targets.labels
    found = {"class_error": 100 - 100 * right.sum() / max(len(targets), 1)}
    if no_object:
        objects = targets.image_index.bincount(minlength=targets.num_images)
        named = (best != logits.shape[-1] - 1).sum(dim=1)
        found["cardinality_error"] = (named - objects).abs().double().mean()
    # One transfer, and only where someone is logging.
    values = torch.stack([value.double() for value in found.values()]).tolist()
    log_diagnostics(dict(zip(found, values, strict=True)))
