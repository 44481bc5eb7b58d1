"""The form in which a trained model is run by evaluation and predictor."""

from __future__ import annotations

import torch
from torch import nn

from yolov7.layers import pack_convolutions
from yolov7.modeling.meta_arch.detector import Detector
from yolov7.modeling.reparameterization import reparameterize


def inference_form(
    model: nn.Module, *, layout: torch.memory_format = torch.contiguous_format
) -> nn.Module:
    """Return a copy of a model that finds the same objects, as fast as its device allows.

    It is reparameterised, and on the CPU its convolutions are packed (`PackedConv`): for inference
    only, in the place where it is. What is exported or changed any further is made by
    `reparameterize` instead. A model that is not one of ours is copied unchanged.

    Args:
        model: stays as it is.
        layout: of the weights in memory, and so of everything computed from them; packed
            convolutions have their own.

    Raises:
        ArithmeticError: reparameterising changed the outputs.
    """
    smaller = reparameterize(model).to(memory_format=layout)
    return pack_convolutions(smaller) if isinstance(smaller, Detector) else smaller
