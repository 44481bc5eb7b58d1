"""A trained model into a smaller one that computes the same.

A module that has a simpler equal in eval mode says so by a method `to_deploy(self) -> nn.Module`,
which may change and return itself or return another module. Nothing here knows which modules
those are: convolutions fold their batch normalisation, and others may follow.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from yolov7.d2 import ImageList
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.utils.tensors import tensors_in

TOLERANCE = 1e-5
"""Largest difference after reparameterisation, relative to the largest absolute output.

Compared in float64, so that what is left is the rounding of the folded weights to the model's
dtype (float32: about 1e-7 each)."""


@runtime_checkable
class Deployable(Protocol):
    """A module with a simpler equal in eval mode."""

    def to_deploy(self) -> nn.Module:
        """Return the simpler module; it may be this one, changed."""
        ...


def reparameterize(
    model: nn.Module,
    *,
    probe: Callable[[nn.Module], Any] | None = None,
    tolerance: float = TOLERANCE,
) -> nn.Module:
    """Return a smaller copy of a model that gives the same outputs, in eval mode.

    Args:
        model: stays as it is.
        probe: runs a model of float64 and returns its outputs (tensors, containers or dataclasses
            of tensors), from inputs that are the same each time. By default, raw predictions of a
            `Detector` for two random images; another model, such as one of detectron2's, is copied
            unchanged without it, for nobody could tell whether the smaller one is equal.
        tolerance: see `TOLERANCE`; pass 1e-2 for a model of bfloat16 weights.

    Raises:
        ArithmeticError: the outputs differ by more than `tolerance`.
    """
    if probe is None and not isinstance(model, Detector):
        return copy.deepcopy(model).eval()
    smaller = reparameterized_copy(model)
    probe = probe or probe_detector
    expected = probe(copy.deepcopy(model).eval().double())
    difference = relative_difference(probe(copy.deepcopy(smaller).double()), expected)
    # Written so that a NaN, which compares false with everything, fails as well.
    if not difference <= tolerance:
        raise ArithmeticError(
            f"reparameterising {type(model).__name__} changed its outputs by {difference:.1e} of "
            f"their largest value, more than {tolerance:.1e}"
        )
    return smaller


def reparameterized_copy(model: nn.Module) -> nn.Module:
    """Do the same without comparing outputs, which models on the meta device do not have."""
    return _simplify(copy.deepcopy(model).eval())


def _simplify(module: nn.Module) -> nn.Module:
    for name, child in list(module.named_children()):
        setattr(module, name, _simplify(child))
    return module.to_deploy() if isinstance(module, Deployable) else module


@torch.no_grad()
def probe_detector(model: Detector) -> Any:
    """Raw predictions of a detector for two random images of a few cells, in its number format."""
    generator = torch.Generator().manual_seed(0)
    side = 2 * model.size_divisibility
    shape = (2, len(model.pixel_mean), side, side)
    images = torch.rand(shape, generator=generator, dtype=torch.float64) * 255
    mean, std = (values.cpu().double() for values in (model.pixel_mean, model.pixel_std))
    batch = ((images - mean) / std).to(model.pixel_mean)
    return model.predict(ImageList(batch, [(side, side)] * 2))


def relative_difference(found: Any, expected: Any) -> float:
    """Largest over all tensors of (largest absolute difference / largest absolute expected)."""
    largest = 0.0
    for left, right in zip(_numbers(found), _numbers(expected), strict=True):
        if left.shape != right.shape:
            return math.inf
        if left.numel() == 0:
            continue
        scale = right.double().abs().max().clamp(min=torch.finfo(torch.float64).tiny)
        difference = float((left.double() - right.double()).abs().max() / scale)
        if math.isnan(difference):
            return math.nan
        largest = max(largest, difference)
    return largest


def _numbers(outputs: Any) -> Iterator[Tensor]:
    """The tensors of floating-point numbers."""
    return (tensor for tensor in tensors_in(outputs) if tensor.is_floating_point())
