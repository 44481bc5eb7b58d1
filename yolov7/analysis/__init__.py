"""Measurements of models and data that both tools and trainer use."""

from yolov7.analysis.family import (
    FamilyMember,
    family_configs,
    markdown_table,
    measure_member,
)
from yolov7.analysis.inference_speed import (
    INFERENCE_VARIANTS,
    InferenceVariant,
    compare_inference,
    inference_function,
)
from yolov7.analysis.loader_speed import seconds_per_batch, warm_up_batches
from yolov7.analysis.loader_verdict import LoaderVerdict, judge_loader
from yolov7.analysis.model_matrix import (
    RECIPES,
    Cost,
    cell_config,
    matrix_backbones,
    matrix_necks,
    matrix_tables,
    measure_matrix,
    own_entries,
)
from yolov7.analysis.model_statistics import (
    ModelStatistics,
    PartStatistics,
    analyze_config,
    analyze_model,
    count_flops,
    count_parameters,
)
from yolov7.analysis.synthetic import synthetic_samples
from yolov7.analysis.timing import alternate, compare, summarize

__all__ = [
    "INFERENCE_VARIANTS",
    "RECIPES",
    "Cost",
    "FamilyMember",
    "InferenceVariant",
    "LoaderVerdict",
    "ModelStatistics",
    "PartStatistics",
    "alternate",
    "analyze_config",
    "analyze_model",
    "cell_config",
    "compare",
    "compare_inference",
    "count_flops",
    "count_parameters",
    "family_configs",
    "inference_function",
    "judge_loader",
    "markdown_table",
    "matrix_backbones",
    "matrix_necks",
    "matrix_tables",
    "measure_matrix",
    "measure_member",
    "own_entries",
    "seconds_per_batch",
    "summarize",
    "synthetic_samples",
    "warm_up_batches",
]
