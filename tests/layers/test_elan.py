import pytest
import torch
import torch.nn.functional as F
from torch import nn

from yolov7.layers import EELAN, ELAN, elan_block

LINEAR = {"activation": nn.Identity, "norm": nn.Identity}


def make_block(**arguments):
    defaults = {"hidden_channels": 3, "conv_channels": 2, "num_convs": 4, **LINEAR}
    return elan_block(5, 6, **{**defaults, **arguments}).double()


@pytest.mark.parametrize(
    ("pick_every", "num_convs", "picked"),
    [(1, 4, [4, 3, 2, 1]), (2, 4, [4, 2]), (2, 6, [6, 4, 2]), (2, 3, [3, 1]), (1, 2, [2, 1])],
)
def test_latest_links_come_first_then_the_chains_start_then_the_bypass(
    pick_every, num_convs, picked
):
    block = make_block(pick_every=pick_every, num_convs=num_convs)
    seen = []
    block.mix.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    links = [block.entry(x)]
    for conv in block.convs:
        links.append(conv(links[-1]))
    output = block(x)
    expected = torch.cat([*(links[index] for index in picked), links[0], block.bypass(x)], dim=1)
    assert torch.equal(seen[0], expected)
    assert output.shape == (2, 6, 4, 6)
    assert [conv.conv.in_channels for conv in block.convs] == [3] + [2] * (num_convs - 1)


def test_one_number_by_hand():
    """Width 1 and kernels of ones on a single pixel: every link is the input's sum."""
    block = ELAN(2, 1, hidden_channels=1, conv_channels=1, num_convs=2, **LINEAR)
    for parameter in block.parameters():
        nn.init.ones_(parameter)
    nn.init.constant_(block.convs[1].conv.weight, 2.0)
    # a = b = c1 = 3 + 4, c2 = 2 * 7; mixed by adding all four
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    assert block(x).item() == 14 + 7 + 7 + 7


def grouped_form(first, second, x):
    """The paper's figure: group convolutions, shuffle, concatenate, add the groups.

    The weights of two blocks become those of convolutions with two groups (the 1×1 convolutions
    that start both read the whole input, so they are one convolution of twice the width). Each
    result holds group 1, then group 2; shuffling collects for each group its part of every result.
    """

    def joined(pick):
        return torch.cat([pick(block).conv.weight for block in (first, second)])

    starts = [F.conv2d(x, joined(pick)) for pick in (lambda b: b.bypass, lambda b: b.entry)]
    results = [starts[1]]
    for index in range(len(first.convs)):
        kernel = joined(lambda block, index=index: block.convs[index])
        results.append(F.conv2d(results[-1], kernel, padding=1, groups=2))
    gathered = [*results[:0:-2], results[0], starts[0]]
    halves = [result.chunk(2, dim=1) for result in gathered]
    shuffled = torch.cat([part for group in zip(*halves, strict=True) for part in group], dim=1)
    mixed = F.conv2d(shuffled, joined(lambda b: b.mix), groups=2)
    return sum(mixed.chunk(2, dim=1))


def test_extended_block_equals_the_papers_group_convolutions():
    block = make_block(num_branches=2, pick_every=2)
    assert isinstance(block, EELAN)
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    assert torch.allclose(block(x), grouped_form(*block.branches, x), atol=1e-12)
    # The branches have weights of their own: exchanging a pair of them changes the output.
    assert not torch.allclose(block(x), 2 * block.branches[0](x))


def test_taps():
    x = torch.randn(1, 5, 4, 4, dtype=torch.float64)
    block = make_block()
    output, tap = block.forward_with_tap(x)
    assert torch.equal(output, block(x))
    assert tap is output
    block = make_block(num_branches=3)
    output, tap = block.forward_with_tap(x)
    assert torch.equal(tap, block.branches[2](x))
    assert torch.allclose(output, sum(branch(x) for branch in block.branches))
    assert torch.equal(output, block(x))
