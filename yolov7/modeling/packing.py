"""Detectors packed for inference on the processor."""

from __future__ import annotations

from torch import nn

from yolov7.layers import pack_convolutions
from yolov7.modeling.meta_arch import Detector
from yolov7.modeling.reparameterization import probe_detector


def pack_for_inference(model: nn.Module) -> nn.Module:
    """Pack the convolutions of a reparameterised model with their activations, in place.

    Args:
        model: a `Detector`; of another model, such as one of detectron2's, plain convolutions are
            packed and activations stay layers of their own.

    Returns:
        The model, for inference only; see `pack_convolutions`. On a GPU it is as it was.
    """
    return pack_convolutions(model, probe_detector if isinstance(model, Detector) else None)
