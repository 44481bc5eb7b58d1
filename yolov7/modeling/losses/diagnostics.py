"""The one door from criteria to the log."""

from __future__ import annotations

from collections.abc import Mapping

from yolov7.d2 import get_event_storage, has_event_storage
from yolov7.modeling.assignment import Assignment
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
