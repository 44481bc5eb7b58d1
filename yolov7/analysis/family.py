"""The models of a family side by side: sizes, operations and latencies, as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from yolov7.analysis.inference_speed import compare_inference
from yolov7.analysis.model_statistics import ModelStatistics, analyze_config
from yolov7.analysis.synthetic import synthetic_samples
from yolov7.config.find import config_names
from yolov7.d2 import CfgNode
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError
from yolov7.utils.names import suggest

_FOLDER = "coco/"


@dataclasses.dataclass(frozen=True)
class FamilyMember:
    """One model of a family.

    Attributes:
        name: of its config.
        statistics: sizes and operations.
        milliseconds, milliseconds_deploy: for one image of the config's size, from pixels in
            memory to detections, as trained and as evaluation and demo run it; None where not
            measured.
    """

    name: str
    statistics: ModelStatistics
    milliseconds: float | None = None
    milliseconds_deploy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain containers for JSON."""
        return {**dataclasses.asdict(self), "statistics": self.statistics.to_dict()}


def family_configs(family: str) -> list[str]:
    """Names of the framework's COCO configs of a family: `yolov7`, `yolov7_tiny` …

    Raises:
        ConfigError: there is no such family; the message lists those there are.
    """
    names = [name for name in config_names() if name.startswith(_FOLDER)]
    found = [name for name in names if _family_of(name) == family]
    if not found:
        families = {_family_of(name) for name in names}
        raise ConfigError(f"there is no family '{family}'.{suggest(family, families)}")
    return found


def _family_of(name: str) -> str:
    return name.rpartition("/")[2].split("_")[0]


def measure_member(name: str, cfg: CfgNode, *, repeats: int = 0) -> FamilyMember:
    """Measure one model.

    Args:
        name: of its config.
        cfg: its config; latencies are taken on `MODEL.DEVICE`.
        repeats: timed rounds of both forms in turn, of which the median counts; 0 for no
            latencies, which then needs neither memory for weights nor the device.
    """
    statistics = analyze_config(cfg)
    if repeats == 0:
        return FamilyMember(name, statistics)
    model = build_detector(cfg)
    samples = synthetic_samples(
        1, statistics.input_size, num_classes=cfg.MODEL.YOLO.CLASSES, num_objects=0
    )
    forms = ("eager", "packed")
    timing = compare_inference(model, samples, variants=forms, repeats=repeats)
    seconds = (timing[form]["median_s"] for form in forms)
    return FamilyMember(name, statistics, *(1000 * each for each in seconds))


def markdown_table(members: Sequence[FamilyMember], *, device: str = "CPU") -> str:
    """Lay the models out in Markdown, ordered by operations.

    "deployed" is the model that evaluation and demo run; `device` is where latencies were taken.
    """
    timed = any(member.milliseconds is not None for member in members)
    titles = ["model", "input", "parameters", "deployed", "GFLOPs", "deployed"]
    titles += [f"ms, {device}", "deployed"] if timed else []
    rows = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    for member in sorted(members, key=lambda member: member.statistics.gflops):
        numbers = member.statistics
        height, width = numbers.input_size
        cells = [member.name, f"{height}x{width}"]
        cells += [f"{count:,}" for count in (numbers.parameters, numbers.parameters_deploy)]
        cells += [f"{count:.1f}" for count in (numbers.gflops, numbers.gflops_deploy)]
        if timed:
            times = (member.milliseconds, member.milliseconds_deploy)
            cells += ["-" if time is None else f"{time:.1f}" for time in times]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
