"""Convolutions that have more branches in training than afterwards (RepVGG, arXiv:2101.03697)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct, fuse_conv_batch_norm
from yolov7.layers.norm import NormFactory, yolo_batch_norm


class RepConv(nn.Module):
    """act(norm(k×k(x)) + norm(1×1(x)) + norm(x)); one k×k convolution after training.

    The last term is there only with `identity`. YOLOv7's planned form (arXiv:2207.02696, section
    4.1) does without it, since an identity beside a residual or a concatenation harms.

    Maps (B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        identity: bool = False,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels, kernel_size, stride: as `nn.Conv2d`'s; the kernel is odd.
            identity: add the normalised input.
            norm, activation: as `ConvNormAct`'s.

        Raises:
            ValueError: an identity is asked for, but widths or stride change.
        """
        super().__init__()
        if identity and (in_channels != out_channels or stride != 1):
            raise ValueError(
                f"RepConv has an identity branch only for equal widths and stride 1, got "
                f"{in_channels} to {out_channels} channels at stride {stride}"
            )
        linear = {"stride": stride, "norm": norm, "activation": nn.Identity}
        self.dense = ConvNormAct(in_channels, out_channels, kernel_size, **linear)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, **linear)
        self.identity = norm(in_channels) if identity else None
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        y = self.dense(x) + self.pointwise(x)
        return self.act(y if self.identity is None else y + self.identity(x))

    def to_deploy(self) -> nn.Module:
        """One convolution and the activation; with other norms than batch norm nothing changes."""
        folded = [self.dense.to_deploy(), self.pointwise.to_deploy()]
        if any(branch.conv.bias is None for branch in folded):
            return self
        if not isinstance(self.identity, nn.BatchNorm2d | nn.SyncBatchNorm | None):
            return self
        self.dense.conv, self.dense.act = self._merged(), self.act
        return self.dense

    @torch.no_grad()
    def _merged(self) -> nn.Conv2d:
        """The sum of the branches; kernels of 1×1 become the middle of k×k ones."""
        merged, kernels = self.dense.conv, [self.pointwise.conv]
        if self.identity is not None:
            kernels.append(fuse_conv_batch_norm(_identity_conv(merged), self.identity))
        weight, bias = merged.weight.double(), merged.bias.double()
        margin = (merged.kernel_size[0] - 1) // 2
        for kernel in kernels:
            weight = weight + nn.functional.pad(kernel.weight.double(), [margin] * 4)
            bias = bias + kernel.bias.double()
        dtype, learns = merged.weight.dtype, merged.weight.requires_grad
        merged.weight = nn.Parameter(weight.to(dtype), learns)
        merged.bias = nn.Parameter(bias.to(dtype), learns)
        return merged


def _identity_conv(like: nn.Conv2d) -> nn.Conv2d:
    """A 1×1 convolution that changes nothing, of the width, type and device of another one."""
    conv = nn.Conv2d(like.in_channels, like.out_channels, 1, bias=False, device="meta")
    eye = torch.eye(like.in_channels, dtype=like.weight.dtype, device=like.weight.device)
    conv.weight = nn.Parameter(eye[:, :, None, None])
    return conv
