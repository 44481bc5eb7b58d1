import pytest
import torch
from timm.layers import BatchNormAct2d, Conv2dSame, StdConv2d
from torch import nn

from yolov7.layers import FrozenBatchNorm2d, fold_batch_norms

NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)


class Network(nn.Module):
    """A convolution and a norm, joined by a function."""

    def __init__(self, join, *, conv=None, norm=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = norm or nn.BatchNorm2d(3)
        self.join = join

    def forward(self, x):
        return self.join(self.conv, self.norm, x)


def prepared(model):
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, NORMS):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                if values is not None:
                    nn.init.uniform_(values, 0.5, 1.5)
    return model.eval()


def norms_left(model):
    """How many norms folding leaves; the outputs stay what they were."""
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = model(x)
        kinds = (nn.Conv2d, Conv2dSame)
        assert fold_batch_norms(model, torch.zeros(1, 3, 8, 8), convolutions=kinds) is model
        found = model(x)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    return sum(isinstance(module, NORMS) for module in model.modules())


def straight(conv, norm, x):
    return norm(conv(x))


def test_by_hand():
    model = prepared(Network(straight, conv=nn.Conv2d(3, 3, 1)))
    with torch.no_grad():
        nn.init.constant_(model.conv.weight, 4.0)
        nn.init.constant_(model.conv.bias, 7.0)
        for name, value in {"weight": 3, "bias": 2, "running_mean": 1, "running_var": 4}.items():
            nn.init.constant_(getattr(model.norm, name), value)
        model.norm.eps = 0.0
    fold_batch_norms(model, torch.zeros(1, 3, 2, 2))
    # 4 * 3 / 2, and (7 - 1) * 3 / 2 + 2
    assert model.conv.weight.unique().item() == 6.0
    assert model.conv.bias.unique().item() == 11.0
    assert isinstance(model.norm, nn.Identity)


@pytest.mark.parametrize(
    "join",
    [
        straight,
        lambda conv, norm, x: norm(conv(x)) + x,
        lambda conv, norm, x: (y := conv(x), norm(y) * y.shape[1])[1],
    ],
)
def test_pairs_are_folded(join):
    assert norms_left(prepared(Network(join))) == 0


@pytest.mark.parametrize(
    "join",
    [
        lambda conv, norm, x: (y := conv(x), norm(y) + y)[1],  # received by an addition too
        lambda conv, norm, x: (y := conv(x), norm(y).add_(y))[1],
        lambda conv, norm, x: norm(conv(x).relu()),  # something between
        lambda conv, norm, x: norm(nn.functional.relu_(conv(x))),  # in place: the same tensor
        lambda conv, norm, x: norm(conv(x)) + norm(x),  # the norm runs twice
        lambda conv, norm, x: norm(conv(conv(x))),  # the convolution runs twice
        lambda conv, norm, x: (y := conv(x), norm(y), y)[1:],  # the output is returned
        lambda conv, norm, x: conv(norm(x)),  # the other way round
    ],
)
def test_others_stay(join):
    assert norms_left(prepared(Network(join))) == 1


@pytest.mark.parametrize(
    ("conv", "norm", "left"),
    [
        (nn.Conv2d(3, 3, 3, padding=2, dilation=2, groups=3), None, 0),
        (Conv2dSame(3, 3, 3, stride=2), None, 0),
        (StdConv2d(3, 3, 3), None, 1),  # it would standardise the folded weights
        (None, FrozenBatchNorm2d(3), 0),
        (None, nn.BatchNorm2d(3, affine=False), 1),
        (None, nn.BatchNorm2d(3, track_running_stats=False), 1),
    ],
)
def test_kinds_of_layers(conv, norm, left):
    assert norms_left(prepared(Network(straight, conv=conv, norm=norm))) == left


@pytest.mark.parametrize("frozen", [False, True])
def test_an_activation_within_the_norm_stays(frozen):
    norm = FrozenBatchNorm2d(3, activation=nn.SiLU()) if frozen else BatchNormAct2d(3)
    model = prepared(Network(straight, norm=norm))
    assert norms_left(model) == 0
    assert isinstance(model.norm, nn.SiLU if frozen else nn.ReLU)


def test_hooks_are_gone_and_frozen_weights_stay_frozen():
    model = prepared(Network(straight))
    model.conv.requires_grad_(False)
    fold_batch_norms(model, torch.zeros(1, 3, 4, 4))
    assert not model.conv._forward_hooks and not model.conv.bias.requires_grad
    with pytest.raises(RuntimeError):
        fold_batch_norms(prepared(network := Network(straight)), torch.zeros(1, 2, 4, 4))
    assert not network.conv._forward_hooks and not network.norm._forward_pre_hooks


def test_on_the_meta_device():
    with torch.device("meta"):
        model = fold_batch_norms(Network(straight).eval(), torch.zeros(1, 3, 4, 4))
    assert model.conv.bias.is_meta and isinstance(model.norm, nn.Identity)
