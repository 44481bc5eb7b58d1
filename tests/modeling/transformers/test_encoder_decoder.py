"""Layers against PyTorch's own, which know no positions; what positions do is worked by hand."""

import pytest
import torch
from torch import nn

from yolov7.modeling.transformers import (
    PostNormResidual,
    PreNormResidual,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    initialize_xavier,
)

KIND = {"num_heads": 2, "feedforward_channels": 12}
RESIDUALS = [PostNormResidual, PreNormResidual]

ENCODER_NAMES = {
    "attention.": "self_attn.",
    "attention_residual.norm.": "norm1.",
    "feedforward.layers.0.": "linear1.",
    "feedforward.layers.1.": "linear2.",
    "feedforward_residual.norm.": "norm2.",
}
DECODER_NAMES = {
    "self_attention.": "self_attn.",
    "self_residual.norm.": "norm1.",
    "cross_attention.": "multihead_attn.",
    "cross_residual.norm.": "norm2.",
    "feedforward.layers.0.": "linear1.",
    "feedforward.layers.1.": "linear2.",
    "feedforward_residual.norm.": "norm3.",
}


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def with_same_weights(ours, theirs, names):
    """Both in float64, and ours with their random weights under our names."""
    for parameter in theirs.double().parameters():
        nn.init.normal_(parameter)
    state = theirs.state_dict()
    renamed = {}
    for name in ours.state_dict():
        prefix = next(prefix for prefix in names if name.startswith(prefix))
        renamed[name] = state[names[prefix] + name.removeprefix(prefix)]
    ours.double().load_state_dict(renamed)
    return ours, theirs


def hidden_cells():
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[1, 4:] = True
    return padding


@pytest.mark.parametrize("residual", RESIDUALS)
def test_an_encoder_layer_is_pytorchs(residual):
    theirs = nn.TransformerEncoderLayer(
        8, 2, 12, 0.0, batch_first=True, norm_first=residual is PreNormResidual
    )
    ours = TransformerEncoderLayer(8, **KIND, residual=residual)
    ours, theirs = with_same_weights(ours, theirs, ENCODER_NAMES)
    cells, padding = random(2, 6, 8), hidden_cells()
    found = ours(cells, torch.zeros_like(cells), padding)
    expected = theirs(cells, src_key_padding_mask=padding)
    assert torch.allclose(found[~padding], expected[~padding], rtol=0, atol=1e-12)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_a_decoder_layer_is_pytorchs(residual):
    theirs = nn.TransformerDecoderLayer(
        8, 2, 12, 0.0, batch_first=True, norm_first=residual is PreNormResidual
    )
    ours = TransformerDecoderLayer(8, **KIND, residual=residual)
    ours, theirs = with_same_weights(ours, theirs, DECODER_NAMES)
    states, memory, padding = random(2, 3, 8), random(2, 6, 8, seed=1), hidden_cells()
    found = ours(states, torch.zeros_like(states), memory, memory, padding)
    expected = theirs(states, memory, memory_key_padding_mask=padding)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


class Recorder(nn.Module):
    """Attention that keeps what it was given and gathers nothing."""

    def forward(self, query, key, value, padding=None):
        self.given = query, key, value, padding
        return torch.zeros_like(query)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_positions_are_told_to_queries_and_keys_but_not_to_values(residual):
    layer = TransformerEncoderLayer(8, **KIND, residual=residual).double()
    layer.attention = Recorder()
    cells, positions = random(1, 4, 8), random(1, 4, 8, seed=1)
    layer(cells, positions, None)
    seen = layer.attention_residual.norm(cells) if residual is PreNormResidual else cells
    query, key, value, _ = layer.attention.given
    assert torch.equal(query, seen + positions) and torch.equal(key, seen + positions)
    assert torch.equal(value, seen)


def test_a_decoder_layer_tells_queries_and_keys_where_they_are():
    layer = TransformerDecoderLayer(8, **KIND).double()
    layer.self_attention, layer.cross_attention = Recorder(), Recorder()
    states, queries = random(1, 3, 8), random(1, 3, 8, seed=1)
    memory, keys = random(1, 4, 8, seed=2), random(1, 4, 8, seed=3)
    layer(states, queries, keys, memory, None)
    query, key, value, _ = layer.self_attention.given
    assert torch.equal(query, states + queries) and torch.equal(key, query)
    assert torch.equal(value, states)
    query, key, value, _ = layer.cross_attention.given
    assert torch.equal(query, layer.self_residual.norm(states) + queries)
    assert torch.equal(key, keys) and torch.equal(value, memory)


class AddOne(nn.Module):
    """A decoder layer that counts."""

    def forward(self, states, queries, keys, memory, padding):
        self.keys = keys
        return states + 1


class Double(nn.Module):
    """A norm that can be seen."""

    def forward(self, x):
        return 2 * x


def test_a_decoder_reads_every_layer_through_its_norm_and_hands_on_the_rest_without():
    decoder = TransformerDecoder([AddOne(), AddOne(), AddOne()], norm=Double())
    states, keys, memory = torch.zeros(2, 4, 8), torch.ones(2, 6, 8), torch.ones(2, 6, 8)
    read = decoder(states, torch.ones(4, 8), keys, memory, None)
    assert read.shape == (3, 2, 4, 8)
    assert read[:, 1, 2, 3].tolist() == [2.0, 4.0, 6.0]
    assert all(layer.keys is keys for layer in decoder.layers)
    decoder.read_last_only()
    assert torch.equal(decoder(states, torch.ones(4, 8), keys, memory, None), read[-1:])


def test_an_encoder_norms_what_its_last_layer_leaves():
    layers = [TransformerEncoderLayer(8, **KIND, residual=PreNormResidual) for _ in range(2)]
    norm = nn.LayerNorm(8)
    x, positions = random(1, 4, 8).float(), random(1, 4, 8, seed=1).float()
    expected = norm(layers[1](layers[0](x, positions, None), positions, None))
    assert torch.equal(TransformerEncoder(layers, norm=norm)(x, positions, None), expected)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_dropout_is_on_every_branch_in_training_only(residual):
    connection = residual(8, 0.5)
    x = torch.zeros(2000, 8)
    torch.manual_seed(0)
    kept = connection(x, lambda y: torch.ones_like(y) * torch.arange(8.0))
    assert not torch.equal(kept[0], kept[1])
    connection.eval()
    same = connection(x, lambda y: torch.ones_like(y) * torch.arange(8.0))
    assert torch.equal(same[0], same[1])


def test_every_matrix_starts_by_glorots_rule():
    """Bounds sqrt(6 / (in + out)): stacked maps of attention, and both of the perceptron."""
    layer = TransformerEncoderLayer(256, num_heads=8, feedforward_channels=2048)
    initialize_xavier(layer)
    bounds = {
        layer.attention.in_proj_weight: (6 / (768 + 256)) ** 0.5,
        layer.attention.out_proj.weight: (6 / 512) ** 0.5,
        layer.feedforward.layers[0].weight: (6 / (256 + 2048)) ** 0.5,
    }
    for weight, bound in bounds.items():
        assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert (layer.attention_residual.norm.weight == 1).all()
