import pytest
import torch

from yolov7.layers import WeightedSum


def test_by_hand():
    """Shares of 3, -1 and 1 with epsilon 0.0 are 3/4, 0 and 1/4: 3/4 of 8 and 1/4 of 4 are 7."""
    fuse = WeightedSum(3, epsilon=0.0)
    with torch.no_grad():
        fuse.weights.copy_(torch.tensor([3.0, -1.0, 1.0]))
    maps = [torch.full((1, 2, 1, 1), value) for value in (8.0, 100.0, 4.0)]
    assert fuse(*maps).tolist() == [[[[7.0]], [[7.0]]]]


def test_gradients_by_hand():
    """d/dw_i of the mean of 8 and 4 with weights 1 and 1: (x_i - 6) / 2; none below 0."""
    fuse = WeightedSum(2, epsilon=0.0)
    fuse(torch.tensor(8.0), torch.tensor(4.0)).backward()
    assert fuse.weights.grad.tolist() == [1.0, -1.0]
    fuse = WeightedSum(2)
    with torch.no_grad():
        fuse.weights[1] = -1.0
    fuse(torch.tensor(8.0), torch.tensor(4.0)).backward()
    assert fuse.weights.grad[1] == 0.0


def test_starts_as_the_mean_but_for_epsilon():
    x = torch.tensor(2.0001)
    assert WeightedSum(2)(x, x).item() == pytest.approx(2.0, abs=1e-6)


def test_all_weights_zero_is_zero_and_not_nan():
    fuse = WeightedSum(2)
    with torch.no_grad():
        fuse.weights.zero_()
    assert fuse(torch.ones(1), torch.ones(1)).item() == 0.0


def test_leaves_the_maps_format():
    maps = [torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)] * 2
    assert WeightedSum(2)(*maps).dtype == torch.bfloat16


def test_is_exempt_from_weight_decay():
    fuse = WeightedSum(2)
    assert fuse.no_weight_decay() == set(dict(fuse.named_parameters()))
