import pytest
import torch
from torch import nn

from yolov7.layers import MultiHeadAttention
from yolov7.utils.errors import ConfigError


def random_inputs(channels=16):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 5, channels), (2, 7, channels), (2, 7, channels)]
    inputs = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 3:] = True
    return inputs, padding


def make_pair(dropout=0.0):
    """Ours and PyTorch's with the same random weights."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(16, 4, dropout=dropout, batch_first=True).double()
    ours = MultiHeadAttention(16, 4, dropout=dropout).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_one_query_between_two_keys():
    """Both keys equal: the mean of the values; one hidden: the value of the other."""
    attention = MultiHeadAttention(2, 1)
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.eye(2).repeat(3, 1))
        attention.out_proj.weight.copy_(torch.eye(2))
    query, key = torch.ones(1, 1, 2), torch.ones(1, 2, 2)
    value = torch.tensor([[[2.0, 0.0], [4.0, 8.0]]])
    assert attention(query, key, value).tolist() == [[[3.0, 4.0]]]
    padding = torch.tensor([[True, False]])
    assert attention(query, key, value, padding).tolist() == [[[4.0, 8.0]]]


def test_gives_what_pytorchs_module_gives():
    ours, theirs = make_pair()
    inputs, padding = random_inputs()
    for hidden in (None, padding):
        expected, _ = theirs(*inputs, key_padding_mask=hidden)
        assert torch.allclose(ours(*inputs, hidden), expected, rtol=0, atol=1e-12)


def test_gradients_are_those_of_pytorchs_module():
    ours, theirs = make_pair()
    inputs, padding = random_inputs()
    theirs(*inputs, key_padding_mask=padding)[0].square().sum().backward()
    ours(*inputs, padding).square().sum().backward()
    for name, parameter in theirs.named_parameters():
        assert torch.allclose(ours.get_parameter(name).grad, parameter.grad, atol=1e-10), name


def test_what_is_hidden_does_not_matter():
    ours, _ = make_pair()
    (query, key, value), padding = random_inputs()
    first = ours(query, key, value, padding)
    other = torch.where(padding[..., None], 100.0, value), torch.where(padding[..., None], 9.0, key)
    assert torch.equal(ours(query, other[1], other[0], padding), first)


def test_dropout_draws_from_the_global_generator_in_training_only():
    ours, _ = make_pair(dropout=0.5)
    (query, key, value), padding = random_inputs()
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(ours(query, key, value, padding))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    ours.eval()
    assert torch.equal(ours(query, key, value, padding), ours(query, key, value, padding))


def test_starts_as_one_map_by_fan():
    """Glorot's bound for the three maps stacked: sqrt(6 / (3 * 256 + 256))."""
    attention = MultiHeadAttention(256, 8)
    largest = attention.in_proj_weight.abs().max().item()
    assert largest == pytest.approx((6 / 1024) ** 0.5, rel=1e-3)
    assert not attention.in_proj_bias.any() and not attention.out_proj.bias.any()


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="3 attention heads do not divide 16 channels"):
        MultiHeadAttention(16, 3)
