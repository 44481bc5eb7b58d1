"""Convolution, normalisation and activation as one unit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.frozen_batch_norm import FrozenBatchNorm2d
from yolov7.layers.norm import NormFactory, yolo_batch_norm

ConvFactory = Callable[..., nn.Module]
"""Called as `ConvNormAct` is; `DepthwiseSeparableConv` is the other one."""


class ConvNormAct(nn.Module):
    """Convolution, then normalisation, then activation.

    Maps (B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride)) for odd
    kernels, which are padded to keep the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias: as
                `nn.Conv2d`'s.
            norm: makes the normalisation for `out_channels`.
            activation: makes the activation.
        """
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size - 1) // 2,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.norm = norm(out_channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def to_deploy(self) -> nn.Module:
        """Fold batch normalisation into the convolution; other norms stay as they are."""
        if isinstance(self.norm, nn.BatchNorm2d | nn.SyncBatchNorm | FrozenBatchNorm2d):
            self.conv = fuse_conv_batch_norm(self.conv, self.norm)
            self.norm = nn.Identity()
        return self


class DepthwiseSeparableConv(nn.Module):
    """A depthwise convolution, then a pointwise one, each with normalisation and activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """Arguments are `ConvNormAct`'s."""
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        self.depthwise = ConvNormAct(
            in_channels, in_channels, kernel_size, stride=stride, groups=in_channels, **parts
        )
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, **parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


@torch.no_grad()
def fuse_conv_batch_norm(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Return one convolution with bias that equals `conv` and then `norm` in eval mode.

    See `folded_weights`; the only error is the last rounding.
    """
    fused = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        padding_mode=conv.padding_mode,
        device="meta",
    )
    weight, bias = folded_weights(conv, norm)
    fused.weight = nn.Parameter(weight, conv.weight.requires_grad)
    fused.bias = nn.Parameter(bias, conv.weight.requires_grad)
    return fused.train(conv.training)


@torch.no_grad()
def folded_weights(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that equals `conv` and then `norm` in eval mode.

    Args:
        conv: with or without bias.
        norm: a batch normalisation with learned or frozen weight and bias.

    Returns:
        In the number format of the convolution's weight, computed in float64.
    """
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = -norm.running_mean.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double()
    weight = conv.weight.double() * scale.view(-1, 1, 1, 1)
    bias = shift * scale + norm.bias.double()
    return weight.to(conv.weight.dtype), bias.to(conv.weight.dtype)
