"""How fast a detector finds objects, in the forms in which it can be run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yolov7.analysis.timing import compare
from yolov7.modeling import pack_for_inference
from yolov7.modeling.meta_arch import Detector
from yolov7.modeling.reparameterization import reparameterized_copy


@dataclass(frozen=True)
class InferenceVariant:
    """A form in which a trained detector is run.

    Attributes:
        reparameterized: with batch norms folded and training-only parts dropped.
        layout: of weights and maps in memory.
        dtype: of convolutions and matrix products; None for the weights' own.
        packed: on the CPU, with convolutions laid out for its kernels (`PackedConv`).
    """

    reparameterized: bool = False
    layout: torch.memory_format = torch.contiguous_format
    dtype: torch.dtype | None = None
    packed: bool = False


INFERENCE_VARIANTS: dict[str, InferenceVariant] = {
    "eager": InferenceVariant(),
    "channels_last": InferenceVariant(layout=torch.channels_last),
    "bf16": InferenceVariant(layout=torch.channels_last, dtype=torch.bfloat16),
    "reparameterized": InferenceVariant(reparameterized=True),
    "reparameterized_channels_last": InferenceVariant(
        reparameterized=True, layout=torch.channels_last
    ),
    "reparameterized_bf16": InferenceVariant(
        reparameterized=True, layout=torch.channels_last, dtype=torch.bfloat16
    ),
    "packed": InferenceVariant(reparameterized=True, packed=True),
}
"""The forms by name; `eager` is the model as it was trained, `packed` is what evaluation and demo
run. bf16 has channels last as well."""

Samples = Sequence[dict[str, Any]]


def inference_model(model: Detector, variant: InferenceVariant) -> Detector:
    """Make the copy of a detector, in eval mode, that a form of it runs."""
    model = reparameterized_copy(model) if variant.reparameterized else copy.deepcopy(model)
    model = model.eval().to(memory_format=variant.layout)
    return pack_for_inference(model) if variant.packed else model


def inference_function(model: Detector, variant: InferenceVariant) -> Callable[[Samples], list]:
    """Make a function that finds the objects of some samples with one form of a detector.

    Args:
        model: stays as it is.
        variant: the form.

    Returns:
        samples (images uint8 or float, see `Detector`) -> one `{"instances": Instances}` each.
    """
    model = inference_model(model, variant)
    device_type, dtype = model.device.type, variant.dtype

    def detect(samples: Samples) -> list:
        autocast = torch.autocast(device_type, dtype=dtype, enabled=dtype is not None)
        with torch.inference_mode(), autocast:
            return model(samples)

    return detect


def compare_inference(
    model: Detector,
    samples: Samples,
    *,
    variants: Sequence[str] = tuple(INFERENCE_VARIANTS),
    repeats: int,
    calls: int = 1,
) -> dict[str, Any]:
    """Time forms of a detector in turn, from samples in memory to detections.

    Args:
        model: the detector.
        samples: one batch.
        variants: keys of `INFERENCE_VARIANTS`; the first is the reference of the ratios.
        repeats: rounds.
        calls: of each form in a round.

    Returns:
        {variant: what `compare` gives, its seconds those of one call, and "detections", the number
        in the whole batch}.
    """
    functions = {
        name: inference_function(model, INFERENCE_VARIANTS[name])
        for name in dict.fromkeys(variants)
    }
    found = {
        name: sum(len(output["instances"]) for output in detect(samples))
        for name, detect in functions.items()
    }

    def repeatedly(detect: Callable[[Samples], list]) -> Callable[[], None]:
        return lambda: [detect(samples) for _ in range(calls)]

    timing = compare({name: repeatedly(detect) for name, detect in functions.items()}, repeats)
    for name, row in timing.items():
        for key in ("median_s", "fastest_s", "slowest_s"):
            row[key] /= calls
        row["detections"] = found[name]
    return timing
