import pytest
import torch
import torch.nn.functional as F

from yolov7.layers import TRANSITIONS, PoolConvTransition


@pytest.mark.parametrize("name", TRANSITIONS)
def test_each_halves_the_resolution(name):
    transition = TRANSITIONS[name](6, 6)
    assert transition(torch.zeros(2, 6, 8, 12)).shape == (2, 6, 4, 6)


@pytest.mark.parametrize("name", ["conv", "mp", "down_c"])
@pytest.mark.parametrize("out_channels", [5, 8, 16])
def test_widths_may_change(name, out_channels):
    transition = TRANSITIONS[name](6, out_channels)
    assert transition(torch.zeros(2, 6, 8, 12)).shape == (2, out_channels, 4, 6)


def test_pooling_cannot_change_the_width():
    with pytest.raises(ValueError, match="cannot turn 6 channels into 8"):
        TRANSITIONS["pool"](6, 8)


def test_the_strided_branch_comes_first():
    transition = PoolConvTransition(4, 6, hidden_channels=5).eval()
    x = torch.randn(1, 4, 6, 8)
    found = transition(x)
    assert torch.equal(found[:, :3], transition.strided(transition.squeeze(x)))
    assert torch.equal(found[:, 3:], transition.pooled(F.max_pool2d(x, 2)))


def test_widths_inside():
    """Half of the output where the backbone of YOLOv7 has them, the input's in E6 and D6."""
    mp, down_c = TRANSITIONS["mp"](8, 12), TRANSITIONS["down_c"](8, 12)
    assert (mp.squeeze.conv.out_channels, down_c.squeeze.conv.out_channels) == (6, 8)
    for transition in (mp, down_c):
        assert transition.strided.conv.out_channels == transition.pooled.conv.out_channels == 6
