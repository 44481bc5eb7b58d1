"""Assigners decide which predictions answer for which objects."""

from yolov7.modeling.assignment.assignment import Assignment
from yolov7.modeling.assignment.sim_ota import SimOTA

__all__ = ["Assignment", "SimOTA"]
