"""Assigners decide which predictions answer for which objects."""

from yolov7.modeling.assignment.anchor_ratio import AnchorRatio
from yolov7.modeling.assignment.assignment import Assigner, Assignment, last_pairs
from yolov7.modeling.assignment.best_anchor import BestAnchor
from yolov7.modeling.assignment.guidance import CoarseToFine, Guidance, Independent, LeadGuided
from yolov7.modeling.assignment.hungarian import HungarianMatcher
from yolov7.modeling.assignment.ota import OTA
from yolov7.modeling.assignment.sim_ota import SimOTA
from yolov7.modeling.assignment.uniform import UniformMatcher

__all__ = [
    "OTA",
    "AnchorRatio",
    "Assigner",
    "Assignment",
    "BestAnchor",
    "CoarseToFine",
    "Guidance",
    "HungarianMatcher",
    "Independent",
    "LeadGuided",
    "SimOTA",
    "UniformMatcher",
    "last_pairs",
]
