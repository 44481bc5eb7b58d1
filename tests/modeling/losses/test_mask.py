from __future__ import annotations

import math

import pytest
import torch

from yolov7.modeling.losses.mask import dice, mask_focal, upsampled


def test_dice_by_hand() -> None:
    """Two pixels of probability ½ and 1 (nearly), of which the second is true."""
    logits = torch.tensor([[[0.0, 60.0]]], dtype=torch.float64)
    masks = torch.tensor([[[False, True]]])
    assert dice(logits, masks).item() == pytest.approx(1 - (2 * 1 + 1) / (1.5 + 1 + 1), rel=1e-12)
    nothing = dice(torch.full((1, 3, 4), -80.0), torch.zeros(1, 3, 4, dtype=torch.bool))
    assert nothing.item() == pytest.approx(0, abs=1e-6)


def test_focal_is_the_mean_over_pixels() -> None:
    logits = torch.zeros(2, 1, 4, dtype=torch.float64)
    masks = torch.tensor([[[True, False, False, False]], [[False, False, False, False]]])
    expected = [(0.25 + 3 * 0.75) / 4 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2)]
    assert mask_focal(logits, masks).tolist() == pytest.approx(expected, rel=1e-12)
    assert mask_focal(logits, masks, alpha=0.5, gamma=0.0).tolist() == pytest.approx(
        [0.5 * math.log(2)] * 2, rel=1e-12
    )


def test_upsampling_takes_pixels_for_areas() -> None:
    """The centres of four thin pixels lie at 1/8, 3/8, 5/8, 7/8 of two wide ones' extent."""
    wide = torch.tensor([[[0.0, 4.0]]])
    assert upsampled(wide, (1, 4)).tolist() == [[[0.0, 1.0, 3.0, 4.0]]]


def test_no_masks() -> None:
    logits = torch.zeros(0, 3, 4, requires_grad=True)
    large, masks = upsampled(logits, (6, 8)), torch.zeros(0, 6, 8, dtype=torch.bool)
    for losses in (dice(large, masks), mask_focal(large, masks)):
        assert losses.shape == (0,)
        (gradient,) = torch.autograd.grad(losses.sum(), logits, retain_graph=True)
        assert gradient.shape == (0, 3, 4)
