"""Deformable convolutions, second version (Zhu et al., arXiv:1811.11168, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d


class DeformConv2d(nn.Conv2d):
    """A convolution whose taps are moved and weighted at each place, by what a second one says.

    Maps as `nn.Conv2d` does. `offsets` gives three numbers for every tap of every output cell: how
    far to move it down and to the right, and the logit of its weight. Untrained they are zero, so
    that each tap is in its place and counts half.

    The output is linear in `weight` and `bias`, whose names and shapes are those of `nn.Conv2d`.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Arguments are `nn.Conv2d`'s; padding is a number of cells and filled with zeros."""
        super().__init__(*args, **kwargs)
        taps = self.kernel_size[0] * self.kernel_size[1]
        self.offsets = nn.Conv2d(
            self.in_channels,
            3 * taps,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    @classmethod
    def like(cls, conv: nn.Conv2d) -> DeformConv2d:
        """Make one that takes the place of a convolution, with its weights."""
        deformable = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=_pair(conv.padding),
            dilation=conv.dilation,
            groups=conv.groups,
            bias=conv.bias is not None,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        deformable.weight, deformable.bias = conv.weight, conv.bias
        return deformable

    def forward(self, x: Tensor) -> Tensor:
        moves, logits = self.offsets(x).split([2 * self._taps, self._taps], dim=1)
        # Places are positions in pixels: half precision would round them.
        dtype = torch.promote_types(x.dtype, torch.float32)
        output = deform_conv2d(
            x.to(dtype),
            moves.to(dtype),
            self.weight.to(dtype),
            None if self.bias is None else self.bias.to(dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            mask=logits.to(dtype).sigmoid(),
        )
        return output.to(x.dtype)

    @property
    def _taps(self) -> int:
        return self.kernel_size[0] * self.kernel_size[1]


def deform_conv_flops(
    x: torch.Size, weight: torch.Size, *others: object, out_shape: torch.Size, **options: object
) -> int:
    """Operations of the taps' sum as `FlopCounterMode` counts a convolution's: two a multiply-add.

    Moving and weighting the taps, which is not a matrix product, is not counted.

    Args:
        x, weight: shapes of the input and of the weights.
        out_shape: of the output.
    """
    _, in_channels, height, width = weight
    return 2 * out_shape.numel() * in_channels * height * width
