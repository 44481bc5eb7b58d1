"""Measurements of models and data that both tools and trainer use."""

from yolov7.analysis.loader_verdict import LoaderVerdict, judge_loader
from yolov7.analysis.model_statistics import (
    ModelStatistics,
    PartStatistics,
    analyze_config,
    analyze_model,
    count_flops,
    count_parameters,
)

__all__ = [
    "LoaderVerdict",
    "ModelStatistics",
    "PartStatistics",
    "analyze_config",
    "analyze_model",
    "count_flops",
    "count_parameters",
    "judge_loader",
]
