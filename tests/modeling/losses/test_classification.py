from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from yolov7.modeling.losses import bce, focal
from yolov7.modeling.losses.classification import focal_of_negatives
from yolov7.modeling.registries import LOSS_REGISTRY


def test_cross_entropy_by_hand() -> None:
    logits, targets = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.25])
    # σ gives 1/2 and 3/4: −ln ½, and −¼ ln ¾ − ¾ ln ¼.
    expected = [math.log(2), -0.25 * math.log(0.75) - 0.75 * math.log(0.25)]
    assert bce(logits, targets).tolist() == pytest.approx(expected)


def test_focal_loss_by_hand_and_against_torchvision() -> None:
    value = focal(torch.tensor([math.log(3)]), torch.tensor([1.0])).item()
    assert value == pytest.approx(0.25 * 0.25**2 * -math.log(0.75))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, generator=generator) * 4
    targets = torch.randint(2, (50,), generator=generator).float()
    torch.testing.assert_close(focal(logits, targets), sigmoid_focal_loss(logits, targets))


@pytest.mark.parametrize("loss", [bce, focal])
def test_shape_is_kept_and_extremes_are_finite(loss) -> None:
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3)
    assert loss.__name__ in LOSS_REGISTRY
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    value = loss(logits, torch.tensor([1.0, 0.0]))
    value.sum().backward()
    assert bool(value.isfinite().all())
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.4, 1.5)])
def test_focal_of_negatives(alpha, gamma) -> None:
    logits = torch.linspace(-60, 60, 241, dtype=torch.float64)
    expected = focal(logits, torch.zeros_like(logits), alpha=alpha, gamma=gamma)
    found = focal_of_negatives(logits, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-15)
