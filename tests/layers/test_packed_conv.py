import copy

import pytest
import torch
from torch import nn

from yolov7.layers import ACTIVATIONS, ConvNormAct, PackedConv, packed_conv
from yolov7.layers.packed_conv import can_fuse, can_pack, kernels_work, pack_convolutions

pytestmark = pytest.mark.skipif(not kernels_work(), reason="this PyTorch has no oneDNN")

CONVS = [
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": (1, 5), "padding": (0, 2), "dilation": 2},
    {"kernel_size": 3, "padding": 1, "groups": 4},
    {"kernel_size": 3, "bias": False},
]


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("arguments", CONVS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_the_convolution(arguments, layout):
    conv = nn.Conv2d(4, 8, **arguments).to(memory_format=layout)
    packed = PackedConv(conv)
    for shape in [(1, 4, 12, 13), (3, 4, 40, 7)]:
        x = torch.randn(shape)
        expected = conv.double()(x.double())
        found = packed(x.contiguous(memory_format=layout))
        assert found.shape == expected.shape
        assert torch.allclose(found.double(), expected, atol=1e-5)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_equals_the_pair_for_every_activation(name):
    unit = ConvNormAct(3, 5, 3, activation=ACTIVATIONS[name]).eval()
    unit.norm.running_var.uniform_(0.5, 1.5)
    x = 4 * torch.randn(2, 3, 9, 9)
    expected = copy.deepcopy(unit).double()(x.double())
    act, deployed = unit.act, unit.to_deploy()
    packed = pack_convolutions(deployed, lambda model: model(torch.zeros(1, 3, 4, 4)))
    assert packed is deployed and isinstance(packed.conv, PackedConv)
    assert can_fuse(act) is (name not in ("mish", "identity"))
    assert isinstance(packed.act, nn.Identity if can_fuse(act) else type(act))
    assert torch.allclose(packed(x).double(), expected, atol=1e-5)


def test_without_a_run_activations_stay():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)).eval()
    x = torch.randn(1, 3, 4, 4)
    expected = model(x)
    pack_convolutions(model)
    assert [type(module) for module in model] == [PackedConv, nn.ReLU]
    assert torch.allclose(model(x), expected, atol=1e-6)


class Block(nn.Module):
    """A residual block as timm writes it, with a convolution whose weight is read as well."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.act1, self.act2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, x):
        inner = self.conv2(self.act1(self.conv1(x)))
        inner += x
        return self.act2(inner) * self.conv2.weight.sum() + self.conv2.bias.sum()


def test_a_block_that_is_not_ours():
    block = Block().eval()
    x = torch.randn(2, 4, 7, 5)
    expected = block.double()(x.double())
    pack_convolutions(block.float(), lambda model: model(torch.zeros(1, 4, 8, 8)))
    kinds = {name: type(module) for name, module in block.named_children()}
    assert kinds == {
        "conv1": PackedConv, "act1": nn.Identity, "conv2": PackedConv, "act2": nn.ReLU,
    }  # fmt: skip
    assert not list(block.parameters())
    assert torch.allclose(block(x).double(), expected, atol=1e-5)


def test_a_convolution_in_two_places_is_packed_once():
    conv = nn.Conv2d(3, 3, 1)
    model = pack_convolutions(nn.ModuleList([nn.Sequential(conv), nn.Sequential(conv)]))
    assert isinstance(model[0][0], PackedConv) and model[0][0] is model[1][0]


class OwnConv(nn.Conv2d):
    """A convolution of someone else's."""


def test_what_cannot_be_packed_stays():
    model = nn.ModuleDict(
        {
            "own kind": OwnConv(4, 4, 3),
            "other format": nn.Conv2d(4, 4, 3).double(),
            "other device": nn.Conv2d(4, 4, 3).to("meta"),
            "not zeros": nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
            "padding by name": nn.Conv2d(4, 4, 3, padding="same"),
            "transposed": nn.ConvTranspose2d(4, 4, 3),
        }
    )
    before = dict(model.items())
    assert pack_convolutions(model) is model
    assert all(model[name] is module for name, module in before.items())
    assert not any(map(can_pack, before.values())) and can_pack(nn.Conv2d(4, 4, 3))


def test_without_the_kernels_all_stays(monkeypatch):
    def missing(*arguments):
        raise AttributeError("no such operator")

    monkeypatch.setattr(packed_conv, "PackedConv", missing)
    kernels_work.cache_clear()
    try:
        assert not kernels_work()
        assert type(pack_convolutions(nn.Sequential(nn.Conv2d(4, 4, 3)))[0]) is nn.Conv2d
    finally:
        kernels_work.cache_clear()


def test_the_trial_draws_no_random_numbers():
    before = torch.get_rng_state()
    kernels_work.cache_clear()
    assert kernels_work()
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_laid_out_for_the_shape_at_hand(monkeypatch):
    conv = nn.Conv2d(4, 8, 1)
    packed, shapes = PackedConv(conv), []
    pack_for = PackedConv._pack_for
    monkeypatch.setattr(
        PackedConv, "_pack_for", lambda self, s: (shapes.append(tuple(s)), pack_for(self, s))[1]
    )
    small, large = torch.randn(1, 4, 2, 3), torch.randn(2, 4, 30, 20)
    with torch.inference_mode():
        packed(small)
    for x in (small, large, large, small):
        assert torch.allclose(packed(x), conv(x), atol=1e-6)
    with torch.enable_grad():
        assert torch.allclose(packed(small), conv(small), atol=1e-6)
    assert shapes == [(1, 4, 2, 3), (2, 4, 30, 20), (1, 4, 2, 3)]


def test_later_changes_of_the_convolution_do_not_reach_it():
    conv, x = nn.Conv2d(4, 4, 1), torch.ones(1, 4, 2, 2)
    packed = PackedConv(conv)
    before = packed(x)
    conv.weight.zero_()
    conv.bias.zero_()
    assert torch.equal(packed(x), before)


def test_it_stays_where_and_what_it_is():
    packed = PackedConv(nn.Conv2d(4, 4, 1))
    model = nn.Sequential(packed).to(memory_format=torch.channels_last).to("cpu").eval()
    assert copy.deepcopy(model)[0] is model[0] is packed
    with pytest.raises(RuntimeError, match=r"cannot become torch\.float64 on cpu"):
        model.double()
    with pytest.raises(RuntimeError, match=r"cannot become torch\.float32 on meta"):
        model.to("meta")
