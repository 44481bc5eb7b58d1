import pytest
import torch

from yolov7.layers import SPP, ConvNormAct, five_convs


@pytest.mark.parametrize("spp", [False, True])
def test_widths_and_sides_alternate(spp):
    block = five_convs(5, 4, spp=spp)
    assert isinstance(block[2], SPP if spp else ConvNormAct)
    shapes = [tuple(block[i].conv.weight.shape) for i in (0, 1, 3, 4)]
    assert shapes == [(4, 5, 1, 1), (8, 4, 3, 3), (8, 4, 3, 3), (4, 8, 1, 1)]
    inner = block[2].squeeze if spp else block[2]
    assert inner.conv.weight.shape == (4, 8, 1, 1)
    assert block(torch.randn(2, 5, 3, 7)).shape == (2, 4, 3, 7)
