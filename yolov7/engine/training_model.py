"""The model as training needs it: memory layout, batch norm, wrapper for several ranks."""

from __future__ import annotations

import logging

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from yolov7.d2 import CfgNode, get_world_size
from yolov7.engine.evaluate import memory_format
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

logger = logging.getLogger(__name__)


def build_training_model(cfg: CfgNode) -> nn.Module:
    """Build a config's model on its device, not yet wrapped for several ranks.

    With `MODEL.SYNC_BATCH_NORM` and several ranks, batch norm takes its statistics over the batch
    of all ranks. Names and shapes of the weights stay the same.

    Raises:
        ConfigError: synchronised batch norm is asked for on a device other than CUDA, or the
            criterion wants an auxiliary head that the model has not.
    """
    model = build_detector(cfg).to(memory_format=memory_format(cfg))
    criterion = getattr(model, "criterion", None)
    if hasattr(criterion, "check_auxiliary"):
        criterion.check_auxiliary(model.auxiliary_head)
    if cfg.MODEL.SYNC_BATCH_NORM and get_world_size() > 1:
        if torch.device(cfg.MODEL.DEVICE).type != "cuda":
            raise ConfigError(
                "MODEL.SYNC_BATCH_NORM works on CUDA only, but MODEL.DEVICE is "
                f"'{cfg.MODEL.DEVICE}'. Set it to False."
            )
        from timm.layers import convert_sync_batchnorm

        # timm's conversion: PyTorch's drops the activation that timm's batch norms may hold.
        model = convert_sync_batchnorm(model)
    logger.info(
        "%s with %d parameters.",
        cfg.MODEL.META_ARCHITECTURE,
        sum(parameter.numel() for parameter in model.parameters()),
    )
    return model


def distribute(model: nn.Module) -> nn.Module:
    """Wrap a model for several ranks, all of which then have the weights of rank 0."""
    if get_world_size() == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        broadcast_buffers=False,
    )
