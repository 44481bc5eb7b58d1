import pytest
import torch
import torch.nn.functional as F

from yolov7.layers import SPP


@pytest.mark.parametrize("kernel_sizes", [(5, 9, 13), (3, 7), (5,)])
def test_equals_pooling_each_window_by_itself(kernel_sizes):
    spp = SPP(8, 6, kernel_sizes=kernel_sizes).eval().double()
    x = torch.randn(2, 8, 7, 11, dtype=torch.float64, requires_grad=True)
    squeezed = spp.squeeze(x)
    pooled = [F.max_pool2d(squeezed, k, stride=1, padding=k // 2) for k in kernel_sizes]
    expected = spp.mix(torch.cat([squeezed, *pooled], dim=1))
    found = spp(x)
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)]
    assert torch.allclose(*gradients, atol=1e-12)


def test_squeezes_to_half_of_the_input():
    spp = SPP(8, 6)
    assert spp.squeeze.conv.out_channels == 4
    assert spp.mix.conv.in_channels == 16
