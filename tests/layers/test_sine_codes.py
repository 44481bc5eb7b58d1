import math

import pytest
import torch

from yolov7.layers.sine_codes import sine_codes


def test_by_hand():
    """Two waves for four channels: of length 2π and of length 2π·√10000."""
    codes = sine_codes(torch.tensor([0.0, math.pi / 2]), 4)
    assert codes[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    slow = math.pi / 200
    assert codes[1].tolist() == pytest.approx([1.0, 0.0, math.sin(slow), math.cos(slow)], abs=1e-6)


def test_another_temperature_stretches_the_waves():
    codes = sine_codes(torch.tensor([0.3], dtype=torch.float64), 4, temperature=9.0)
    expected = [math.sin(0.3), math.cos(0.3), math.sin(0.1), math.cos(0.1)]
    assert codes.dtype == torch.float64
    assert codes[0].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_any_shape(shape):
    assert sine_codes(torch.zeros(shape), 6).shape == (*shape, 6)
