import pytest
import torch
from torch import nn

from yolov7.layers import DropBlock
from yolov7.utils.errors import ConfigError


def test_a_square_by_hand(monkeypatch):
    """One seed of the six that fit into a map of 3x4: its 2x2 cells are zero, the rest x 12/8."""
    draws = torch.ones(1, 1, 2, 3)
    draws[0, 0, 1, 1] = 0.0
    monkeypatch.setattr(torch, "rand", lambda shape, device: draws.reshape(shape))
    x = torch.arange(1.0, 13.0).view(1, 1, 3, 4)
    expected = 1.5 * torch.tensor([[1.0, 2, 3, 4], [5, 0, 0, 8], [9, 0, 0, 12]])
    assert torch.equal(DropBlock(share=0.1, block_size=2)(x)[0, 0], expected)


def test_what_is_dropped_are_squares_and_the_mean_stays():
    torch.manual_seed(0)
    block = DropBlock(share=0.1, block_size=3)
    y = block(torch.ones(16, 64, 20, 28))
    dropped = y == 0
    # Overlaps cost a twentieth of the share.
    assert dropped.float().mean() == pytest.approx(0.095, abs=0.003)
    assert y.mean() == pytest.approx(1.0, abs=1e-5)
    # A cell is in a dropped square of its own: eroding and dilating by 3x3 changes nothing.
    squares = dropped.float().unfold(2, 3, 1).unfold(3, 3, 1).amin(dim=(4, 5))
    again = nn.functional.max_pool2d(nn.functional.pad(squares, [2] * 4), 3, stride=1)
    assert torch.equal(again.bool(), dropped)
    # Each channel of each image has squares of its own (two may have none).
    assert len(torch.unique(dropped.flatten(0, 1).flatten(1), dim=0)) > 1000


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_the_strength_scales_the_share(strength):
    torch.manual_seed(0)
    block = DropBlock(share=0.2, block_size=1)
    block.strength.fill_(strength)
    share = (block(torch.ones(8, 32, 32, 32)) == 0).float().mean()
    assert share == pytest.approx(0.2 * strength, abs=0.003)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3)])
def test_small_maps_and_gradients(size):
    """A side shorter than the squares' is dropped as a whole; all-zero maps stay finite."""
    torch.manual_seed(0)
    x = torch.ones(3, 5, *size, dtype=torch.float64, requires_grad=True)
    for _ in range(20):
        y = DropBlock(share=0.9, block_size=4)(x)
        assert y.isfinite().all() and y.dtype == x.dtype
    gradient = torch.autograd.grad(y.sum(), x)[0]
    assert torch.equal(gradient, y.detach())


def test_half_precision_counts_large_maps():
    torch.manual_seed(0)
    y = DropBlock(share=0.1, block_size=3)(torch.ones(2, 32, 64, 64, dtype=torch.float16))
    assert y.dtype == torch.float16
    assert y.float().mean() == pytest.approx(1.0, abs=1e-3)


def test_does_nothing_after_training_and_draws_nothing_then():
    x = torch.randn(1, 2, 8, 8)
    before = torch.get_rng_state()
    assert DropBlock(share=0.5, block_size=3).eval()(x) is x
    assert DropBlock(share=0.0, block_size=3)(x) is x
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(DropBlock(share=0.5, block_size=3).to_deploy(), nn.Identity)


@pytest.mark.parametrize("arguments", [(1.0, 3), (-0.1, 3), (0.1, 0)])
def test_mistakes(arguments):
    with pytest.raises(ConfigError, match="DropBlock"):
        DropBlock(share=arguments[0], block_size=arguments[1])
