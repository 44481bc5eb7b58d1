"""Efficient layer aggregation (ELAN) and its extended form (YOLOv7, arXiv:2207.02696)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from yolov7.layers.activation import ModuleFactory
from yolov7.layers.conv import ConvNormAct
from yolov7.layers.norm import NormFactory, yolo_batch_norm


class ELAN(nn.Module):
    """A chain of 3×3 convolutions, of which several links are gathered and mixed (section 3.1).

    With a = 1×1(x), b = 1×1(x), c₁ = 3×3(b), c₂ = 3×3(c₁) … cₙ, the output is 1×1 of the
    concatenation (cₙ, cₙ₋ₑ, cₙ₋₂ₑ …, b, a), latest first, where e is `pick_every`. So gradients
    reach every link by a short way, however long the chain.

    Maps (B, in_channels, H, W) to (B, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        conv_channels: int,
        num_convs: int,
        pick_every: int = 1,
        norm: NormFactory = yolo_batch_norm,
        activation: ModuleFactory = nn.SiLU,
    ) -> None:
        """
        Args:
            in_channels, out_channels: of the block.
            hidden_channels: width of a and of b.
            conv_channels: width of each 3×3 convolution.
            num_convs: n, the length of the chain.
            pick_every: 1 gathers every link, 2 every second one.
            norm, activation: as `ConvNormAct`'s.
        """
        super().__init__()
        parts = {"norm": norm, "activation": activation}
        self.bypass = ConvNormAct(in_channels, hidden_channels, 1, **parts)
        self.entry = ConvNormAct(in_channels, hidden_channels, 1, **parts)
        widths = [hidden_channels, *[conv_channels] * num_convs]
        self.convs = nn.ModuleList(
            ConvNormAct(before, after, 3, **parts) for before, after in itertools.pairwise(widths)
        )
        num_picked = len(range(num_convs)[::pick_every])
        gathered = 2 * hidden_channels + num_picked * conv_channels
        self.mix = ConvNormAct(gathered, out_channels, 1, **parts)
        self.pick_every = pick_every

    def forward(self, x: Tensor) -> Tensor:
        links = [self.entry(x)]
        for conv in self.convs:
            links.append(conv(links[-1]))
        entry, *chain = links
        return self.mix(torch.cat([*chain[:: -self.pick_every], entry, self.bypass(x)], dim=1))

    def forward_with_tap(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output, and what deep supervision looks at: here the output itself."""
        output = self(x)
        return output, output


class EELAN(nn.Module):
    """Extended ELAN: several blocks side by side whose outputs are added (section 3.1).

    The paper describes it as group convolutions whose channels are shuffled into groups, which are
    then added ("expand, shuffle, merge cardinality"). As every group's mixing convolution sees its
    own group alone, that is a sum of blocks with weights of their own, and is computed so here.
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        """
        Args:
            branches: blocks of equal input and output; the last one is tapped.
        """
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_tap(x)[0]

    def forward_with_tap(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output, and what deep supervision looks at: the last branch alone, as in YOLOv7-E6E."""
        outputs = [branch(x) for branch in self.branches]
        return reduce(torch.add, outputs), outputs[-1]


def elan_block(
    in_channels: int, out_channels: int, *, num_branches: int = 1, **arguments: Any
) -> ELAN | EELAN:
    """One `ELAN`, or an `EELAN` of `num_branches` of them; other arguments are `ELAN`'s."""
    blocks = [ELAN(in_channels, out_channels, **arguments) for _ in range(num_branches)]
    return blocks[0] if num_branches == 1 else EELAN(blocks)
