import torch
import torch.nn.functional as F

from yolov7.layers import SPPCSPC, TinySPPCSPC


def pools(x):
    return [F.max_pool2d(x, side, stride=1, padding=side // 2) for side in (5, 9, 13)]


def test_wiring():
    unit = SPPCSPC(4, 6).eval().double()
    x = torch.randn(2, 4, 7, 11, dtype=torch.float64)
    before = unit.before(x)
    pooled = unit.after(torch.cat([before, *pools(before)], dim=1))
    expected = unit.mix(torch.cat([pooled, unit.bypass(x)], dim=1))
    assert torch.equal(unit(x), expected)
    assert [conv.conv.kernel_size[0] for conv in (*unit.before, *unit.after)] == [1, 3, 1, 1, 3]


def test_wiring_of_the_tiny_one():
    """The largest window comes first, and there are 1×1 convolutions only."""
    unit = TinySPPCSPC(4, 6).eval().double()
    x = torch.randn(2, 4, 7, 11, dtype=torch.float64)
    before = unit.before(x)
    pooled = unit.after(torch.cat([*pools(before)[::-1], before], dim=1))
    expected = unit.mix(torch.cat([pooled, unit.bypass(x)], dim=1))
    assert torch.equal(unit(x), expected)
    assert {tuple(p.shape[2:]) for p in unit.parameters() if p.dim() == 4} == {(1, 1)}


def test_all_branches_have_the_outputs_width():
    unit = SPPCSPC(4, 6, kernel_sizes=(3, 5))
    assert unit.bypass.conv.out_channels == unit.before[0].conv.out_channels == 6
    assert unit.after[0].conv.in_channels == 18
    assert unit.mix.conv.in_channels == 12
