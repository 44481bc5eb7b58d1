"""Batch normalisation that training does not touch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with constants: (x - mean) / sqrt(variance + eps) * weight + bias.

    Maps (B, C, H, W) to the same shape and number format. The four vectors are buffers named as in
    `nn.BatchNorm2d`, so no optimiser and no forward pass changes them; `num_batches_tracked` in a
    state dict that is loaded is discarded.
    """

    def __init__(
        self, num_features: int, *, eps: float = 1e-5, activation: nn.Module | None = None
    ) -> None:
        """
        Args:
            num_features: C.
            eps: added to the variance.
            activation: follows the normalisation, as in timm's layers that do both.
        """
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.act = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        # In the format of `x`: constants of float32 would turn mixed precision back into float32.
        scale, shift = (value.to(x.dtype).view(1, -1, 1, 1) for value in (scale, shift))
        return self.act(torch.addcmul(shift, x, scale))

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}"

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def freeze_batch_norms(module: nn.Module) -> nn.Module:
    """Replace every 2d batch normalisation in a module, in place, by a frozen one of its values.

    Those that keep no running statistics have nothing to freeze and stay.

    Returns:
        The module; another one if it is a batch normalisation itself.
    """
    if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and module.track_running_stats:
        return _frozen(module)
    for name, child in list(module.named_children()):
        setattr(module, name, freeze_batch_norms(child))
    return module


@torch.no_grad()
def _frozen(norm: nn.BatchNorm2d | nn.SyncBatchNorm) -> FrozenBatchNorm2d:
    # timm's layers of normalisation and activation are batch norms that hold an `act`.
    frozen = FrozenBatchNorm2d(
        norm.num_features, eps=norm.eps, activation=getattr(norm, "act", None)
    ).to(norm.running_mean)
    for name, values in (*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)):
        if name != "num_batches_tracked":
            getattr(frozen, name).copy_(values)
    return frozen.train(norm.training)
