import pytest
import torch
from torch import nn

from yolov7.layers.sole_receivers import sole_receivers


class Network(nn.Module):
    """Two convolutions and an activation, joined by a function."""

    def __init__(self, join, *, inplace):
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.act = nn.ReLU(inplace=inplace)
        self.join = join

    def forward(self, x):
        return self.join(self.conv, self.act, self.other, x)


def found(join, *, inplace):
    model = Network(join, inplace=inplace)
    with torch.no_grad():
        pairs = sole_receivers(
            model,
            lambda model: model(torch.randn(1, 3, 4, 4)),
            senders=lambda module: isinstance(module, nn.Conv2d),
            receivers=lambda module: isinstance(module, nn.ReLU),
        )
    names = {module: name for name, module in model.named_modules()}
    return [tuple(names[module] for module in pair) for pair in pairs]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "join",
    [
        lambda conv, act, other, x: act(conv(x)),
        lambda conv, act, other, x: other(act(conv(x))),
        # In place or not, what is used from here on is the activation's.
        lambda conv, act, other, x: (y := act(conv(x)), other(y) + y)[1],
        lambda conv, act, other, x: (y := act(nn.Identity()(conv(x))), [y, {"y": y}])[1],
    ],
)
def test_a_pair(join, inplace):
    assert found(join, inplace=inplace) == [("conv", "act")]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "join",
    [
        lambda conv, act, other, x: (y := conv(x), z := other(y), act(y) + z)[2],  # also convolved
        lambda conv, act, other, x: (y := conv(x), z := y + 1, act(y) + z)[2],  # and added
        lambda conv, act, other, x: (y := conv(x), z := y[:, :1], act(y) + z)[
            2
        ],  # and seen in part
        lambda conv, act, other, x: act(conv(x) + x),  # something between
        lambda conv, act, other, x: act(conv(x)) + act(other(x)),  # the activation runs twice
        lambda conv, act, other, x: act(act(conv(x))),
        lambda conv, act, other, x: act(conv(x)) + conv(x),  # the convolution runs twice
        lambda conv, act, other, x: conv(act(x.clone())),  # the other way round
    ],
)
def test_no_pair(join, inplace):
    assert found(join, inplace=inplace) == []


def test_an_output_that_is_returned_as_it_is_has_no_sole_receiver():
    def join(conv, act, other, x):
        y = conv(x)
        return act(y), y

    assert found(join, inplace=False) == []
    # In place both are the activation's.
    assert found(join, inplace=True) == [("conv", "act")]
