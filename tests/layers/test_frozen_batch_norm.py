import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torchvision.ops import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d

from yolov7.layers import FrozenBatchNorm2d, freeze_batch_norms


def random_values(norm):
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            values.uniform_(0.5, 1.5)
    return norm


def test_by_hand():
    norm = FrozenBatchNorm2d(2, eps=1.0)
    norm.load_state_dict(
        {
            "weight": torch.tensor([2.0, 1.0]),
            "bias": torch.tensor([0.5, 0.0]),
            "running_mean": torch.tensor([1.0, 0.0]),
            "running_var": torch.tensor([3.0, 0.0]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    # (5 - 1) / sqrt(3 + 1) * 2 + 0.5 and 5 / sqrt(0 + 1)
    found = norm(torch.full((1, 2, 1, 1), 5.0)).flatten()
    assert found.tolist() == [4.5, 5.0]


def test_equals_torchvisions():
    torch.manual_seed(0)
    ours, theirs = FrozenBatchNorm2d(8).double(), TorchvisionFrozenBatchNorm2d(8).double()
    theirs.load_state_dict(random_values(ours).state_dict())
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ours(x).square().sum(), x)
    (expected,) = torch.autograd.grad(theirs(x).square().sum(), x)
    assert torch.allclose(ours(x), theirs(x), rtol=0, atol=1e-14)
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-13)


def test_nothing_learns_and_nothing_moves():
    norm = FrozenBatchNorm2d(3).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(torch.randn(4, 3, 2, 2)).sum()
    assert not list(norm.parameters())
    assert set(before) == {"weight", "bias", "running_mean", "running_var"}
    assert all(value.equal(before[name]) for name, value in norm.state_dict().items())


def test_number_format_and_memory_layout_are_those_of_the_input():
    norm = random_values(FrozenBatchNorm2d(4))
    x = torch.randn(2, 4, 6, 5).to(torch.bfloat16).to(memory_format=torch.channels_last)
    found = norm(x)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d, nn.SyncBatchNorm])
def test_freezing_keeps_what_a_norm_computes_and_its_names(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(random_values(kind(4, eps=1e-3))))
    model.eval()
    x = torch.randn(2, 3, 5, 5)
    # Synchronised ones want a GPU or processes even in eval mode.
    comparable = nn.BatchNorm2d(4, eps=1e-3) if kind is nn.SyncBatchNorm else model[1][0]
    comparable.load_state_dict(model[1][0].state_dict())
    expected = comparable.eval()(model[0](x))
    state = model.state_dict()

    assert freeze_batch_norms(model) is model
    assert isinstance(model[1][0], FrozenBatchNorm2d)
    assert torch.allclose(model(x), expected, atol=1e-6)
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    assert set(model.state_dict()) == set(names)
    # A file of the ordinary model loads into the frozen one.
    model.load_state_dict(state)


def test_without_learned_values():
    norm = nn.BatchNorm2d(3, affine=False).eval()
    norm.running_mean.fill_(2.0)
    x = torch.randn(1, 3, 2, 2)
    assert torch.allclose(freeze_batch_norms(norm)(x), norm(x), atol=1e-6)
