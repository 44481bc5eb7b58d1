import pytest
import torch

from yolov7.layers import ACTIVATIONS, find_activation
from yolov7.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("silu", [-0.2689414, 0.0, 1.7615942]),
        ("relu", [0.0, 0.0, 2.0]),
        ("leaky_relu", [-0.1, 0.0, 2.0]),
        ("mish", [-0.3034014, 0.0, 1.9439590]),
        ("hardswish", [-1.0 / 3.0, 0.0, 5.0 / 3.0]),
        ("gelu", [-0.1586553, 0.0, 1.9544997]),
        ("identity", [-1.0, 0.0, 2.0]),
    ],
)
def test_known_values(name, expected):
    found = find_activation(name)()(torch.tensor([-1.0, 0.0, 2.0]))
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_every_entry_makes_a_new_module():
    for make in ACTIVATIONS.values():
        assert make() is not make()


def test_unknown_name_suggests():
    with pytest.raises(ConfigError, match=r"MODEL\.X: .*'sillu'.*Did you mean 'silu'.*leaky_relu"):
        find_activation("sillu", key="MODEL.X")
