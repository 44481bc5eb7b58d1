import importlib.util
import math
from pathlib import Path

import pytest
import torch

from yolov7.layers import RowColumnAttention
from yolov7.layers.row_column_attention import weighted_mean
from yolov7.utils.errors import ConfigError

DETERMINISTIC = Path(__file__).parents[1] / "reference" / "deterministic.py"


def load_deterministic():
    spec = importlib.util.spec_from_file_location("deterministic", DETERMINISTIC)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


deterministic = load_deterministic()


def inputs(key, *shape):
    values = deterministic.uniform(key, math.prod(shape))
    return torch.from_numpy(2.0 * values - 1.0).reshape(shape)


@pytest.fixture
def attention():
    module = RowColumnAttention(256, 8).double()
    state = deterministic.fill_state(
        {f"rcda.{key}": value.shape for key, value in module.state_dict().items()}
    )
    module.load_state_dict({key.removeprefix("rcda."): value for key, value in state.items()})
    return module


def test_equals_the_authors_program(attention):
    """Numbers recorded from the authors' module: 256 wide, 8 heads, float64."""
    assert attention.in_proj_weight[0, :2].tolist() == pytest.approx(
        [-0.093414, 0.056652], abs=5e-7
    )
    query_x, query_y = inputs("qr", 2, 5, 256), inputs("qc", 2, 5, 256)
    key_x, key_y = inputs("kr", 2, 3, 4, 256).mean(1), inputs("kc", 2, 3, 4, 256).mean(2)
    padding = torch.zeros(2, 3, 4, dtype=torch.bool)
    padding[1, 2], padding[1, :, 3] = True, True
    out = attention(query_x, query_y, key_x, key_y, inputs("v", 2, 3, 4, 256), padding)
    assert out.shape == (2, 5, 256)
    assert out.sum().item() == pytest.approx(2.263015, abs=5e-7)
    assert out.abs().mean().item() == pytest.approx(0.182789, abs=5e-7)
    assert out[0, 0, :3].tolist() == pytest.approx([0.127404, -0.206467, 0.142635], abs=5e-7)
    assert out[1, 0, :3].tolist() == pytest.approx([0.201958, -0.149069, 0.188450], abs=5e-7)


def test_a_map_of_one_cell_gives_its_value(attention):
    value = inputs("v", 1, 1, 1, 256)
    query, key = inputs("q", 1, 3, 256), inputs("k", 1, 1, 256)
    out = attention(query, query, key, key, value)
    projected = value.flatten() @ attention.in_proj_weight[1024:].T + attention.in_proj_bias[1024:]
    assert torch.allclose(out, attention.out_proj(projected).expand(1, 3, 256), atol=1e-12)


def test_values_of_padding_do_not_count(attention):
    query, key_x, key_y = inputs("q", 1, 5, 256), inputs("kx", 1, 4, 256), inputs("ky", 1, 3, 256)
    value, padding = inputs("v", 1, 3, 4, 256), torch.zeros(1, 3, 4, dtype=torch.bool)
    padding[:, 2], padding[:, :, 3] = True, True
    expected = attention(query, query, key_x[:, :3], key_y[:, :2], value[:, :2, :3])
    assert torch.allclose(
        attention(query, query, key_x, key_y, value, padding), expected, atol=1e-12
    )


@pytest.mark.parametrize(("height", "width"), [(3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("numbers_at_once", [1, 200, 2**21])
def test_the_weighted_mean_is_the_double_sum(monkeypatch, height, width, numbers_at_once):
    """Whatever axis goes first and however many queries go at a time."""
    monkeypatch.setattr("yolov7.layers.row_column_attention._NUMBERS_AT_ONCE", numbers_at_once)
    x, y = inputs("x", 2, 3, 7, width), inputs("y", 2, 3, 7, height)
    value = inputs("v", 2, 3, height, width, 6)
    expected = torch.einsum("bnqx,bnqy,bnyxc->bnqc", x, y, value)
    assert torch.allclose(weighted_mean(x, y, value), expected, atol=1e-12)


def test_gradients_are_right():
    torch.manual_seed(0)
    attention = RowColumnAttention(4, 2).double()
    shapes = [(1, 3, 4), (1, 3, 4), (1, 3, 4), (1, 2, 4), (1, 2, 3, 4)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(attention, tensors)


def test_no_query_gives_none(attention):
    empty = torch.empty(1, 0, 256, dtype=torch.float64)
    key, value = inputs("k", 1, 2, 256), inputs("v", 1, 2, 2, 256)
    assert attention(empty, empty, key, key, value).shape == (1, 0, 256)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    attention = RowColumnAttention(8, 2, dropout=0.5)
    query, key, value = torch.randn(1, 6, 8), torch.randn(1, 4, 8), torch.randn(1, 4, 4, 8)
    assert not torch.equal(*(attention(query, query, key, key, value) for _ in range(2)))
    attention.eval()
    assert torch.equal(*(attention(query, query, key, key, value) for _ in range(2)))


def test_it_starts_as_one_matrix():
    """Xavier's bound for 1280 outputs and 256 inputs; no biases."""
    attention = RowColumnAttention(256, 8)
    bound = (6.0 / (5 * 256 + 256)) ** 0.5
    assert 0.99 * bound < attention.in_proj_weight.abs().max().item() <= bound
    assert not attention.in_proj_bias.any() and not attention.out_proj.bias.any()


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="8 attention heads do not divide 100 channels"):
        RowColumnAttention(100, 8)
